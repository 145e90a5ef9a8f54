/** What the REST API and Socket.IO send, field by field (docs/protocol.md and /api/docs describe each). */
/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | {
    [name: string]: Json;
};
/** A position in an instance's log. */
export interface Position {
    epoch: string;
    seq: number;
}
export type TaskStatus = "SUBMITTED" | "QUEUED" | "IN_PROGRESS" | "WAITING" | "RETRYING" | "COMPLETED" | "FAILED" | "CANCELLED" | "EXPIRED";
export type StepStatus = "in_progress" | "completed" | "failed" | "skipped";
/** Why a task or a step failed. */
export interface Failure {
    code: string;
    message: string;
    [name: string]: unknown;
}
/** Why no worker starts a task. */
export interface Wait {
    reason: "no_worker" | "no_worker_for_kind" | "broker_unavailable";
    message: string;
}
/** A task without its input and its result, as lists have it. */
export interface TaskSummary extends TaskState {
    waiting: Wait | null;
}
/** What is stored of a task, without its input and its result: snapshots have this. */
export interface TaskState {
    id: string;
    instance_id: string;
    kind: string;
    title: string | null;
    status: TaskStatus;
    progress: number;
    message: string | null;
    attempt: number;
    error: Failure | null;
    cancel_requested: boolean;
    submitted_by: string | null;
    last_seq: number;
    created_at: string;
    started_at: string | null;
    finished_at: string | null;
    updated_at: string;
    expires_at: string | null;
}
/** A task. */
export interface Task extends TaskSummary {
    input: any;
    result: any;
}
/** A step without its output, as lists have it. */
export interface StepSummary {
    step_id: string;
    task_id: string;
    key: string | null;
    position: number;
    agent: string | null;
    action: string | null;
    status: StepStatus;
    message: string | null;
    error: Failure | null;
    attempt: number;
    tries: number;
    started_at: string;
    completed_at: string | null;
}
/** A step. */
export interface Step extends StepSummary {
    output: any;
}
/** A task with its steps, as snapshots have it. */
export interface TaskWithSteps extends TaskState {
    steps: StepSummary[];
    steps_complete: boolean;
}
/** The present state of an instance: its latest tasks first. */
export interface Snapshot {
    instance_id: string;
    epoch: string;
    head: number;
    min_seq: number;
    tasks: TaskWithSteps[];
    complete: boolean;
}
/** An agent's card. */
export interface Agent {
    kind: string;
    title: string;
    description: string;
    version: string;
    input_schema: {
        [name: string]: any;
    };
    soft_time_limit: number | null;
    hard_time_limit: number | null;
}
/** An instance. */
export interface Instance {
    id: string;
    name: string;
    epoch: string;
    seq: number;
    created_at: string;
}
/** A warning about a request that succeeded. */
export interface Warning {
    code: string;
    message: string;
}
/** A submission, or another write to a task, and the number of the event that it caused. */
export interface Submission {
    task: Task;
    seq: number;
    epoch: string;
    /** False when the same key had submitted the task before. */
    created: boolean;
    warnings: Warning[];
}
/** The data of a `task_update`. */
export interface TaskUpdateData {
    progress: number;
    message: string | null;
    timestamp: string;
    status?: TaskStatus;
    previous_status?: TaskStatus | null;
    error?: Failure;
    result?: any;
    cancel_requested?: boolean;
    kind?: string;
    title?: string | null;
    submitted_by?: string | null;
    [name: string]: any;
}
/** The data of an `execution_step`. */
export interface ExecutionStepData {
    step_id: string;
    agent: string | null;
    action: string | null;
    status: StepStatus;
    output: any;
    started_at: string;
    completed_at: string | null;
    key: string | null;
    position: number;
    tries: number;
    progress: number;
    message?: string | null;
    error?: Failure;
    [name: string]: any;
}
interface Numbered extends Position {
    instance_id: string;
    task_id: string;
    id: string;
    attempt: number;
    rev?: undefined;
}
/** A stored event: a task changed its status, or made progress with a step. */
export interface TaskUpdate extends Numbered {
    type: "task_update";
    data: TaskUpdateData;
}
/** A stored event: a step started or ended. */
export interface ExecutionStep extends Numbered {
    type: "execution_step";
    data: ExecutionStepData;
}
/** A stored event; the number is one more than that of the instance's previous event. */
export type TaskEvent = TaskUpdate | ExecutionStep;
/** Progress inside a step, which is not stored: only the latest counts. */
export interface LiveUpdate {
    instance_id: string;
    task_id: string;
    type: "task_update";
    data: TaskUpdateData;
    epoch: string;
    attempt: number;
    rev: number;
    seq?: undefined;
}
/** A piece of the text that a step streams. */
export interface StepOutput {
    instance_id: string;
    task_id: string;
    step_id: string;
    attempt: number;
    rev: number;
    offset: number;
    text: string;
}
/** A piece of the text that a step streams, with all of it so far. */
export interface WrittenText extends StepOutput {
    type: "step_output";
    written: string;
    seq?: undefined;
}
/** The text of a step so far, from character `start` on. */
export interface StepText {
    text: string;
    start: number;
}
/** Events are missing, or the log began again: the present state replaces everything known. */
export interface Reset {
    type: "reset";
    instance_id: string;
    snapshot: Snapshot;
    seq?: undefined;
    rev?: undefined;
}
/** The server's answer to a subscription. */
export interface Answer {
    ok: boolean;
    mode: "live" | "replay" | "snapshot";
    instance_id: string;
    epoch: string;
    head: number;
    min_seq: number;
    snapshot?: Snapshot;
}
/** A refusal over Socket.IO. */
export interface Refusal {
    code?: string;
    message: string;
    field?: string;
    retry_after_ms?: number;
    data?: {
        code?: string;
        field?: string;
        retry_after_ms?: number;
    };
}
/** An error response: problem details (RFC 9457). */
export interface Problem {
    type?: string;
    title?: string;
    status?: number;
    detail?: string;
    code?: string;
    field?: string;
    errors?: {
        field: string;
        message: string;
    }[];
    [name: string]: any;
}
export {};
