/** Keeps a client connected by socket.io-client: shows tokens, and reconnects where the library does not. */
/** A pause is this much shorter or longer than it should be. */
export declare const EARLIEST = 0.75;
/** Refusals that may pass by themselves. */
export declare const PASSING: Set<string>;
/**
 * A time near this one, so that clients that began together do not act together.
 * @param {number} milliseconds
 */
export declare function jitter(milliseconds: number): number;
export type SocketLibrary = typeof import("socket.io-client").io;
export type Socket = import("socket.io-client").Socket;
export type Refusal = import("./wire.js").Refusal;
export type KeeperOptions = {
    io: SocketLibrary;
    token?: string | (() => string | Promise<string>) | undefined;
    auth?: object | ((show: (auth: object) => void) => void) | undefined;
    socket?: object;
};
/** @typedef {typeof import("socket.io-client").io} SocketLibrary */
/** @typedef {import("socket.io-client").Socket} Socket */
/** @typedef {import("./wire.js").Refusal} Refusal */
/**
 * @typedef {object} KeeperOptions see TaskWebSocketClient
 * @property {SocketLibrary} io
 * @property {string | (() => string | Promise<string>) | undefined} [token]
 * @property {object | ((show: (auth: object) => void) => void) | undefined} [auth]
 * @property {object} [socket]
 */
export declare class ConnectionKeeper {
    #private;
    /**
     * @param {string | undefined} url
     * @param {KeeperOptions} options
     * @param {{retryAtMost: number}} times milliseconds
     * @param {{opened: () => void, lost: (reason: string) => void, refused: (error: Refusal) => void}} listener called at the
     *   start and end of connections, and with each refusal
     */
    constructor(url: string | undefined, options: KeeperOptions, times: {
        retryAtMost: number;
    }, listener: {
        opened: () => void;
        lost: (reason: string) => void;
        refused: (error: Refusal) => void;
    });
    get isConnected(): boolean;
    /**
     * Connect, and keep connecting after every loss until `close`.
     * @param {Record<string, (payload: any) => void>} handlers called with the messages of these names
     * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client for good, and by
     *   `close`
     */
    open(handlers: Record<string, (payload: any) => void>): Promise<void>;
    /** Close the connection permanently. */
    close(): void;
    /**
     * Send a message.
     * @param {string} name
     * @param {object} payload
     * @param {((answer: any) => void)[]} answer
     * @returns {boolean} whether there is a connection
     */
    emit(name: string, payload: object, ...answer: ((answer: any) => void)[]): boolean;
    /** Show another token on this connection, if there is a function to ask for one. */
    renewToken(): Promise<void>;
}
