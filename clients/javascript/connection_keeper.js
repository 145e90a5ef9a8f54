/** Keeps a client connected by socket.io-client: shows tokens, and reconnects where the library does not. */

/** A pause is this much shorter or longer than it should be. */
export const EARLIEST = 0.75;
const LATEST = 1.25;
/** Refusals that may pass by themselves. */
export const PASSING = new Set(["unavailable", "busy", "error"]);

/**
 * A time near this one, so that clients that began together do not act together.
 * @param {number} milliseconds
 */
export function jitter(milliseconds) {
  return milliseconds * (EARLIEST + Math.random() * (LATEST - EARLIEST));
}

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

export class ConnectionKeeper {
  #url;
  #options;
  #times;
  #listener;
  /** @type {Socket | null} */
  #socket = null;
  #wasAccepted = false;
  /** @type {any} */
  #timer;
  /** @type {(fault: unknown) => void} rejects the promise of `open` */
  #reject = () => {};

  /**
   * @param {string | undefined} url
   * @param {KeeperOptions} options
   * @param {{retryAtMost: number}} times milliseconds
   * @param {{opened: () => void, lost: (reason: string) => void, refused: (error: Refusal) => void}} listener called at the
   *   start and end of connections, and with each refusal
   */
  constructor(url, options, times, listener) {
    this.#url = url;
    this.#options = options;
    this.#times = times;
    this.#listener = listener;
  }

  get isConnected() {
    return Boolean(this.#socket?.connected);
  }

  /**
   * Connect, and keep connecting after every loss until `close`.
   * @param {Record<string, (payload: any) => void>} handlers called with the messages of these names
   * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client for good, and by
   *   `close`
   */
  open(handlers) {
    const { io } = this.#options;
    if (this.#socket) throw new Error("this client is connected already");
    this.#wasAccepted = false;
    const socket = this.#url === undefined ? io(this.#socketOptions()) : io(this.#url, this.#socketOptions());
    this.#socket = socket;
    /** @param {string} name @param {(payload: any) => void} handler */
    const listen = (name, handler) => socket.on(name, (payload) => this.#socket === socket && handler(payload ?? {}));
    listen("connect", () => this.#opened());
    listen("disconnect", (reason) => this.#lost(socket, reason));
    listen("connect_error", (fault) => this.#refused(socket, fault));
    listen("restarting", ({ retry_after_ms: pause }) => this.#closeAndReconnect(socket, pause));
    for (const [name, handler] of Object.entries(handlers)) listen(name, handler);
    /** @type {Promise<void>} */
    const opened = new Promise((resolve, reject) => {
      this.#reject = reject;
      socket.once("connect", () => resolve());
      socket.connect();
    });
    // Refusals are passed to the listener too, so a program need not await the connection.
    opened.catch(() => {});
    return opened;
  }

  /** Close the connection permanently. */
  close() {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.#socket = null;
    socket?.disconnect();
    this.#reject(new Error("the client was disconnected before there was a connection"));
  }

  /**
   * Send a message.
   * @param {string} name
   * @param {object} payload
   * @param {((answer: any) => void)[]} answer
   * @returns {boolean} whether there is a connection
   */
  emit(name, payload, ...answer) {
    if (!this.#socket?.connected) return false;
    this.#socket.emit(name, payload, ...answer);
    return true;
  }

  /** Show another token on this connection, if there is a function to ask for one. */
  async renewToken() {
    if (typeof this.#options.token !== "function") return;
    const socket = this.#socket;
    const { token } = await this.#present();
    if (token !== undefined && this.#socket === socket) this.emit("refresh_token", { token });
  }

  #socketOptions() {
    const { token, auth, socket } = this.#options;
    /** @param {(auth: object) => void} show */
    const present = (show) => void this.#present().then(show);
    const shown = token === undefined ? auth : present;
    const defaults = { transports: ["websocket"], upgrade: false, forceNew: true };
    return { ...defaults, ...(shown && { auth: shown }), ...socket, autoConnect: false };
  }

  /** @returns {Promise<{token?: string | undefined}>} what the handshake shows */
  async #present() {
    const { token } = this.#options;
    try {
      return { token: (typeof token === "function" ? await token() : token)?.trim() };
    } catch (/** @type {any} */ fault) {
      this.#listener.refused({ code: "no_token", message: String(fault?.message ?? fault) });
      return {};
    }
  }

  #opened() {
    this.#wasAccepted = true;
    this.#listener.opened();
  }

  /** @param {Socket} socket @param {string} reason */
  #lost(socket, reason) {
    this.#listener.lost(reason);
    // socket.io-client does not reconnect when the server closes the connection itself, as it does to restart.
    if (reason === "io server disconnect") this.#reconnectIn(socket, jitter(this.#times.retryAtMost / 5));
  }

  /** @param {Socket} socket @param {any} fault */
  #refused(socket, fault) {
    const { message, data } = fault;
    this.#listener.refused({ code: "connect_error", message: String(message), ...(data && { data }) });
    // An unreachable server is tried again by socket.io-client, a refusal by the server is not.
    if (socket.active || this.#socket !== socket) return;
    const pause = this.#pauseAfter(data ?? {});
    if (pause !== null) return this.#reconnectIn(socket, pause);
    this.#reject(fault);
    this.close();
  }

  /** @param {{code?: string, retry_after_ms?: number}} refusal @returns {number | null} milliseconds; null: it stays so */
  #pauseAfter({ code, retry_after_ms: wanted }) {
    const { retryAtMost } = this.#times;
    // Not before the time that the server names, and not all clients at that moment.
    if (wanted !== undefined || PASSING.has(code ?? "")) return jitter((wanted ?? retryAtMost) / EARLIEST);
    // The token expired while the connection was lost; the next connection shows another one.
    const { token, auth } = this.#options;
    const canRenew = this.#wasAccepted && typeof (token ?? auth) === "function";
    return canRenew && code === "unauthenticated" ? jitter(retryAtMost / 5) : null;
  }

  /** The server restarts, and assigns each client a time of its own. @param {Socket} socket @param {number} pause */
  #closeAndReconnect(socket, pause) {
    // A connection that this side closes is not opened again by socket.io-client at a time of its own.
    socket.disconnect();
    this.#reconnectIn(socket, pause);
  }

  /** @param {Socket} socket @param {number} pause milliseconds */
  #reconnectIn(socket, pause) {
    // A handler of the loss may have closed this connection permanently, and `close` clears the timer.
    if (this.#socket !== socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => socket.connect(), pause);
  }
}
