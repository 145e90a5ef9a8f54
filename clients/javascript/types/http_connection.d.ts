/** Sends requests to the REST API: tokens, time limits, repetition, and errors as classes. */
export type TokenSource = import("./task_websocket_client.js").TokenSource;
export type RequestOptions = {
    /**
     * the query; null and undefined
     * are left out
     */
    params?: Record<string, string | number | boolean | null | undefined> | undefined;
    /**
     * the body
     */
    json?: unknown;
    headers?: Record<string, string> | undefined;
    /**
     * ends the request
     */
    signal?: AbortSignal | undefined;
    /**
     * whether the request may be sent again after a lost response; GET, PUT and DELETE are
     */
    repeatable?: boolean;
};
export declare class HttpConnection {
    #private;
    url: string;
    /**
     * @param {string} url the server, with the path that it is served below
     * @param {{token: TokenSource | undefined, timeout: number, fetch: typeof globalThis.fetch}} options `timeout` in milliseconds
     */
    constructor(url: string, options: {
        token: TokenSource | undefined;
        timeout: number;
        fetch: typeof globalThis.fetch;
    });
    /**
     * Send a request, and send it again when that is safe: after a lost response, or when the server asks for it.
     * @param {string} method
     * @param {string} path such as `/api/v1/agents`
     * @param {RequestOptions} [options]
     * @returns {Promise<{status: number, body: any}>}
     * @throws {ApiError | ConnectionFailed | TimedOut}
     */
    send(method: string, path: string, options?: RequestOptions): Promise<{
        status: number;
        body: any;
    }>;
}
