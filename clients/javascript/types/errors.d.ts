/** The errors of the client: one class for each kind of refusal, and two for requests without a response. */
export type Problem = import("./wire.js").Problem;
/** @typedef {import("./wire.js").Problem} Problem */
/** The server refused a request. */
export declare class ApiError extends Error {
    problem: import("./wire.js").Problem;
    /** What went wrong, for programs: `not_found`, `invalid_input` and so on (/api/docs lists them). */
    code: string;
    /** The part of the input that is wrong, such as `input.platforms[0]`; null if there is none. */
    field: string | null;
    /** Every error of the input. */
    errors: {
        field: string;
        message: string;
    }[];
    /** The HTTP status. */
    status: number;
    retryAfter: number | null;
    /**
     * @param {Problem} problem the response: problem details (RFC 9457)
     * @param {number | null} [retryAfter] seconds after which the same request can succeed
     */
    constructor(problem: Problem, retryAfter?: number | null);
}
/** There is no such object, or the caller may not see it. */
export declare class NotFound extends ApiError {
}
/** The present state does not allow it, such as the cancel of a finished task. */
export declare class Conflict extends ApiError {
}
/** The request is wrong; `field` and `errors` say where. */
export declare class InvalidInput extends ApiError {
}
/** A valid token is needed. */
export declare class Unauthenticated extends ApiError {
}
/** The caller's role or token does not allow it. */
export declare class Forbidden extends ApiError {
}
/** Too many requests; `retryAfter` says when to try again. */
export declare class TooFast extends ApiError {
}
/** The server, or a proxy in front of it, cannot do it at present. */
export declare class Unavailable extends ApiError {
}
/** No response came from the server's address. */
export declare class ConnectionFailed extends Error {
    /** @param {string} message @param {unknown} [cause] */
    constructor(message: string, cause?: unknown);
}
/** The task was not finished, or the response did not come, within the time that the caller gave. */
export declare class TimedOut extends Error {
    /** @param {string} message */
    constructor(message: string);
}
/**
 * @param {Problem} problem
 * @param {number | null} [retryAfter] seconds
 * @returns {ApiError} of the class for its status
 */
export declare function makeApiError(problem: Problem, retryAfter?: number | null): ApiError;
/**
 * @param {import("./wire.js").Refusal} refusal over Socket.IO
 * @returns {ApiError}
 */
export declare function makeRefusalError({ code, message, field, data }: import("./wire.js").Refusal): ApiError;
