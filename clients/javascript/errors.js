/** The errors of the client: one class for each kind of refusal, and two for requests without a response. */

/** @typedef {import("./wire.js").Problem} Problem */

/** The server refused a request. */
export class ApiError extends Error {
  /**
   * @param {Problem} problem the response: problem details (RFC 9457)
   * @param {number | null} [retryAfter] seconds after which the same request can succeed
   */
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? problem.title ?? `the server answered ${problem.status}`);
    this.name = new.target.name;
    this.problem = problem;
    /** What went wrong, for programs: `not_found`, `invalid_input` and so on (/api/docs lists them). */
    this.code = problem.code ?? "error";
    /** The part of the input that is wrong, such as `input.platforms[0]`; null if there is none. */
    this.field = problem.field ?? null;
    /** Every error of the input. */
    this.errors = problem.errors ?? [];
    /** The HTTP status. */
    this.status = problem.status ?? 0;
    this.retryAfter = retryAfter;
  }
}

/** There is no such object, or the caller may not see it. */
export class NotFound extends ApiError {}

/** The present state does not allow it, such as the cancel of a finished task. */
export class Conflict extends ApiError {}

/** The request is wrong; `field` and `errors` say where. */
export class InvalidInput extends ApiError {}

/** A valid token is needed. */
export class Unauthenticated extends ApiError {}

/** The caller's role or token does not allow it. */
export class Forbidden extends ApiError {}

/** Too many requests; `retryAfter` says when to try again. */
export class TooFast extends ApiError {}

/** The server, or a proxy in front of it, cannot do it at present. */
export class Unavailable extends ApiError {}

/** No response came from the server's address. */
export class ConnectionFailed extends Error {
  /** @param {string} message @param {unknown} [cause] */
  constructor(message, cause) {
    super(message, { cause });
    this.name = "ConnectionFailed";
  }
}

/** The task was not finished, or the response did not come, within the time that the caller gave. */
export class TimedOut extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "TimedOut";
  }
}

/** @type {Record<number, typeof ApiError>} */
const BY_STATUS = {
  400: InvalidInput,
  401: Unauthenticated,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  413: InvalidInput,
  415: InvalidInput,
  422: InvalidInput,
  429: TooFast,
  502: Unavailable,
  503: Unavailable,
  504: Unavailable,
};
/** @type {Record<string, number>} the statuses of refusals over Socket.IO */
const STATUS_OF = { not_found: 404, unauthenticated: 401, forbidden: 403, invalid_input: 422, revoked: 403 };

/**
 * @param {Problem} problem
 * @param {number | null} [retryAfter] seconds
 * @returns {ApiError} of the class for its status
 */
export function makeApiError(problem, retryAfter = null) {
  return new (BY_STATUS[problem.status ?? 0] ?? ApiError)(problem, retryAfter);
}

/**
 * @param {import("./wire.js").Refusal} refusal over Socket.IO
 * @returns {ApiError}
 */
export function makeRefusalError({ code, message, field, data }) {
  const shown = { code: data?.code ?? code ?? "error", detail: message };
  const problem = { ...shown, status: STATUS_OF[shown.code] ?? 400, ...(field !== undefined && { field }) };
  return makeApiError(problem);
}
