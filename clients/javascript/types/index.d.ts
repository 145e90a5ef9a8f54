/** The npm package: the client of the REST API and of Socket.IO, and its errors. */
import { TaskWebSocketClient as SocketClient } from "./task_websocket_client.js";
export { Client } from "./client.js";
export * from "./errors.js";
export { applyEvent, isCancellable, isFinal, isRetryable, taskOf } from "./task_state.js";
export type ClientOptions = import("./client.js").ClientOptions;
export type SubmitOptions = import("./client.js").SubmitOptions;
export type TaskFilters = import("./client.js").TaskFilters;
export type WatchItem = import("./event_stream.js").WatchItem;
export type WatchOptions = import("./event_stream.js").WatchOptions;
export type RequestOptions = import("./http_connection.js").RequestOptions;
export type ClientState = import("./task_websocket_client.js").ClientState;
export type SocketOptions = import("./task_websocket_client.js").SocketOptions;
export type TokenSource = import("./task_websocket_client.js").TokenSource;
export type Agent = import("./wire.js").Agent;
export type Answer = import("./wire.js").Answer;
export type ExecutionStep = import("./wire.js").ExecutionStep;
export type Failure = import("./wire.js").Failure;
export type Instance = import("./wire.js").Instance;
export type Json = import("./wire.js").Json;
export type LiveUpdate = import("./wire.js").LiveUpdate;
export type Position = import("./wire.js").Position;
export type Problem = import("./wire.js").Problem;
export type Refusal = import("./wire.js").Refusal;
export type Reset = import("./wire.js").Reset;
export type Snapshot = import("./wire.js").Snapshot;
export type Step = import("./wire.js").Step;
export type StepOutput = import("./wire.js").StepOutput;
export type StepStatus = import("./wire.js").StepStatus;
export type StepSummary = import("./wire.js").StepSummary;
export type StepText = import("./wire.js").StepText;
export type Submission = import("./wire.js").Submission;
export type Task = import("./wire.js").Task;
export type TaskEvent = import("./wire.js").TaskEvent;
export type TaskState = import("./wire.js").TaskState;
export type TaskStatus = import("./wire.js").TaskStatus;
export type TaskSummary = import("./wire.js").TaskSummary;
export type TaskUpdate = import("./wire.js").TaskUpdate;
export type TaskWithSteps = import("./wire.js").TaskWithSteps;
export type Wait = import("./wire.js").Wait;
export type Warning = import("./wire.js").Warning;
export type WrittenText = import("./wire.js").WrittenText;
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
export declare class TaskWebSocketClient extends SocketClient {
    /**
     * @param {string} [url] the server; the page's own when left out
     * @param {SocketOptions} [options]
     */
    constructor(url?: string, options?: SocketOptions);
}
