/** Keeps a client connected by socket.io-client: shows tokens, and reconnects where the library does not. */

/** A pause is this much shorter or longer than it should be. */
export const EARLIEST = 0.75;
const LATEST = 1.25;

/** A time near this one, so that clients that began together do not act together. */
export function jitter(milliseconds) {
  return milliseconds * (EARLIEST + Math.random() * (LATEST - EARLIEST));
}

export class ConnectionKeeper {
  #url;
  #options;
  #times;
  #listener;
  #socket = null;
  #wasAccepted = false;
  #timer;

  /**
   * @param {string | undefined} url
   * @param {{io: Function, token: any, auth: object, socket: object}} options see TaskWebSocketClient
   * @param {{retryAtMost: number}} times milliseconds
   * @param {{opened: Function, lost: Function, refused: Function}} listener called at the start and end of connections,
   *   and with each refusal `{code, message}`
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
   * @param {Record<string, (payload: object) => void>} handlers called with the messages of these names
   * @returns {Promise<void>} resolved at the first connection; rejected when the server refuses this client
   */
  open(handlers) {
    if (this.#socket) throw new Error("this client is connected already");
    const socket = this.#options.io(this.#url, this.#socketOptions());
    this.#socket = socket;
    const listen = (name, handler) => socket.on(name, (payload) => this.#socket === socket && handler(payload ?? {}));
    listen("connect", () => this.#opened());
    listen("disconnect", (reason) => this.#lost(socket, reason));
    listen("connect_error", (fault) => this.#refused(socket, fault));
    listen("restarting", ({ retry_after_ms: pause }) => this.#closeAndReconnect(socket, pause));
    for (const [name, handler] of Object.entries(handlers)) listen(name, handler);
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve());
      // A refusal by the server, unlike an unreachable one, is not tried again by socket.io-client.
      socket.on("connect_error", (fault) => socket.active || reject(fault));
      socket.connect();
    });
  }

  /** Close the connection permanently. */
  close() {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.#socket = null;
    socket?.disconnect();
  }

  /** Send a message. @returns {boolean} whether there is a connection */
  emit(name, payload, ...answer) {
    if (!this.isConnected) return false;
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
    const shown = token === undefined ? auth : (show) => this.#present().then(show);
    const defaults = { transports: ["websocket"], upgrade: false, forceNew: true };
    return { ...defaults, ...(shown && { auth: shown }), ...socket, autoConnect: false };
  }

  /** @returns {Promise<object>} what the handshake shows */
  async #present() {
    const { token } = this.#options;
    try {
      return { token: typeof token === "function" ? await token() : token };
    } catch (fault) {
      this.#listener.refused({ code: "no_token", message: String(fault.message ?? fault) });
      return {};
    }
  }

  #opened() {
    this.#wasAccepted = true;
    this.#listener.opened();
  }

  #lost(socket, reason) {
    this.#listener.lost(reason);
    // socket.io-client does not reconnect when the server closes the connection itself, as it does to restart.
    if (reason === "io server disconnect") this.#reconnectIn(socket, jitter(this.#times.retryAtMost / 5));
  }

  #refused(socket, fault) {
    const { message, data } = fault;
    this.#listener.refused({ code: "connect_error", message: String(message), ...(data && { data }) });
    // The token expired while the connection was lost; the next connection shows another one.
    const canRenew = this.#wasAccepted && typeof this.#options.token === "function";
    if (canRenew && data?.code === "unauthenticated") this.#reconnectIn(socket, jitter(this.#times.retryAtMost / 5));
  }

  /** The server restarts, and assigns each client a time of its own to reconnect. */
  #closeAndReconnect(socket, pause) {
    // A connection that this side closes is not opened again by socket.io-client at a time of its own.
    socket.disconnect();
    this.#reconnectIn(socket, pause);
  }

  #reconnectIn(socket, pause) {
    // A handler of the loss may have closed this connection permanently, and `close` clears the timer.
    if (this.#socket !== socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => socket.connect(), pause);
  }
}
