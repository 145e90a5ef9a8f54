/** The npm package: the client of the REST API and of Socket.IO, and its errors. */

import { io } from "socket.io-client";

import { TaskWebSocketClient as SocketClient } from "./task_websocket_client.js";

export { Client } from "./client.js";
export * from "./errors.js";
export { applyEvent, isCancellable, isFinal, isRetryable, taskOf } from "./task_state.js";

/** @typedef {import("./client.js").ClientOptions} ClientOptions */
/** @typedef {import("./client.js").SubmitOptions} SubmitOptions */
/** @typedef {import("./client.js").TaskFilters} TaskFilters */
/** @typedef {import("./event_stream.js").WatchItem} WatchItem */
/** @typedef {import("./event_stream.js").WatchOptions} WatchOptions */
/** @typedef {import("./http_connection.js").RequestOptions} RequestOptions */
/** @typedef {import("./task_websocket_client.js").ClientState} ClientState */
/** @typedef {import("./task_websocket_client.js").SocketOptions} SocketOptions */
/** @typedef {import("./task_websocket_client.js").TokenSource} TokenSource */
/** @typedef {import("./wire.js").Agent} Agent */
/** @typedef {import("./wire.js").Answer} Answer */
/** @typedef {import("./wire.js").ExecutionStep} ExecutionStep */
/** @typedef {import("./wire.js").Failure} Failure */
/** @typedef {import("./wire.js").Instance} Instance */
/** @typedef {import("./wire.js").Json} Json */
/** @typedef {import("./wire.js").LiveUpdate} LiveUpdate */
/** @typedef {import("./wire.js").Position} Position */
/** @typedef {import("./wire.js").Problem} Problem */
/** @typedef {import("./wire.js").Refusal} Refusal */
/** @typedef {import("./wire.js").Reset} Reset */
/** @typedef {import("./wire.js").Snapshot} Snapshot */
/** @typedef {import("./wire.js").Step} Step */
/** @typedef {import("./wire.js").StepOutput} StepOutput */
/** @typedef {import("./wire.js").StepStatus} StepStatus */
/** @typedef {import("./wire.js").StepSummary} StepSummary */
/** @typedef {import("./wire.js").StepText} StepText */
/** @typedef {import("./wire.js").Submission} Submission */
/** @typedef {import("./wire.js").Task} Task */
/** @typedef {import("./wire.js").TaskEvent} TaskEvent */
/** @typedef {import("./wire.js").TaskState} TaskState */
/** @typedef {import("./wire.js").TaskStatus} TaskStatus */
/** @typedef {import("./wire.js").TaskSummary} TaskSummary */
/** @typedef {import("./wire.js").TaskUpdate} TaskUpdate */
/** @typedef {import("./wire.js").TaskWithSteps} TaskWithSteps */
/** @typedef {import("./wire.js").Wait} Wait */
/** @typedef {import("./wire.js").Warning} Warning */
/** @typedef {import("./wire.js").WrittenText} WrittenText */

/** The handlers' client, with socket.io-client built in. */
export class TaskWebSocketClient extends SocketClient {
  /**
   * @param {string} [url] the server; the page's own when left out
   * @param {SocketOptions} [options]
   */
  constructor(url = undefined, options = {}) {
    super(url, { io, ...options });
  }
}
