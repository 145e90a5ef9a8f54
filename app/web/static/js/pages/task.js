/** The page of one task: applies each event to the rendered state, and shows the text of the running step. */

import { callApi, Problem, quote } from "../server/api.js";
import { makeClient } from "../server/connection.js";
import { onNextFrame, readState, setText } from "../display/dom.js";
import { formatMessage, formatPercent, formatStatus, showTimestamp } from "../display/format.js";
import { StepList } from "../tasks/step_list.js";
import { applyEvent, isCancellable, isFinal, isRetryable, nameError, nameWait } from "../tasks/task_state.js";
import { Waits } from "../tasks/waits.js";
import { viewValue } from "../tasks/value_view.js";

const byId = (id) => document.getElementById(id);
const state = readState();
const may = new Set(state.may);

class TaskPage {
  #steps = new StepList(byId("steps"));
  #shown = {};
  #waitForEvent;
  #missed = null;
  #waits;
  #draw = onNextFrame(() => this.#drawNow());

  /** @param {object} task @param {(seq: number) => Promise<void>} waitForEvent resolves once the event is applied */
  constructor(task, waitForEvent) {
    this.task = task;
    this.#waitForEvent = waitForEvent;
    const apply = (_, waiting) => this.#set({ ...this.task, waiting });
    this.#waits = new Waits(task.instance_id, () => [this.task], apply);
    byId("input").append(viewValue(task.input));
    byId("cancel").addEventListener("click", () => this.#act("cancel"));
    byId("retry").addEventListener("submit", (event) => {
      event.preventDefault();
      const from = new FormData(event.target).get("from_step");
      this.#act("retry", from ? { from_step: from } : {});
    });
    this.#drawNow();
  }

  /** Apply an event if it belongs to this task. */
  apply(event) {
    if (event.task_id !== this.task.id) return;
    this.#missed?.push(event);
    this.#set(applyEvent(this.task, event));
  }

  /** Show the text that a running step has streamed so far. */
  showText(piece, stream) {
    this.#steps.stream(piece, stream);
    this.#draw();
  }

  /** Reload the task: a snapshot contains only the latest tasks, without outputs. */
  async restart() {
    // Events that arrive during the request may be missing in the response; applying one twice is harmless.
    const missed = (this.#missed = []);
    try {
      const path = `/tasks/${quote(this.task.id)}`;
      const [task, steps] = [await callApi("GET", path), await callApi("GET", `${path}/steps`)];
      if (missed === this.#missed) this.#set(missed.reduce(applyEvent, { ...task, steps: steps.items }));
    } catch (problem) {
      this.#showProblem(problem);
    } finally {
      if (missed === this.#missed) this.#missed = null;
    }
  }

  #set(task) {
    this.task = task;
    this.#draw();
  }

  async #act(name, body) {
    byId("action-error").hidden = true;
    const buttons = document.querySelectorAll(".task-actions button");
    for (const button of buttons) button.disabled = true;
    try {
      const { seq } = await callApi("POST", `/tasks/${quote(this.task.id)}/${name}`, { body });
      await this.#waitForEvent(seq);
    } catch (problem) {
      this.#showProblem(problem);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  #showProblem(problem) {
    if (!(problem instanceof Problem)) throw problem;
    byId("action-error").textContent = problem.message;
    byId("action-error").hidden = false;
  }

  #drawNow() {
    const { task } = this;
    this.#waits.check();
    this.#drawStatus(task);
    this.#drawWait(nameWait(task));
    setText(byId("attempt"), task.attempt || "–");
    setText(byId("seq"), task.last_seq);
    showTimestamp(byId("created"), task.created_at);
    showTimestamp(byId("started"), task.started_at);
    showTimestamp(byId("finished"), task.finished_at);
    this.#drawOutcome(task);
    this.#steps.draw(task.steps);
    setText(byId("step-count"), task.steps.length || "");
    setText(byId("no-steps"), isFinal(task) ? "No steps." : "No steps yet.");
    byId("no-steps").hidden = task.steps.length > 0;
    byId("cancel").hidden = !isCancellable(task) || !may.has("task.cancel");
    this.#drawRetry(task);
  }

  #drawStatus(task) {
    const words = task.cancel_requested ? "Cancelling" : formatStatus(task.status);
    setText(byId("status"), words);
    byId("status").dataset.status = task.status;
    setText(byId("message"), formatMessage(task));
    setText(byId("percent"), formatPercent(task.progress));
    byId("bar").value = task.progress;
    byId("bar").dataset.status = task.status;
    document.title = `${words} · ${task.title} · Swallowtail`;
    setText(byId("announcement"), `${words}${isFinal(task) ? "" : `, ${Math.floor(task.progress / 25) * 25} percent`}`);
  }

  #drawWait(message) {
    const callout = byId("wait");
    callout.hidden = message === "";
    setText(callout.querySelector("p"), message);
  }

  #drawOutcome(task) {
    byId("error").hidden = !task.error;
    setText(byId("error").querySelector("[data-slot=code]"), nameError(task.error));
    setText(byId("error").querySelector("[data-slot=message]"), task.error?.message);
    byId("result").hidden = task.result === null;
    if (this.#shown.result === task.result) return;
    this.#shown.result = task.result;
    byId("result").querySelector("[data-slot=value]").replaceChildren(viewValue(task.result));
  }

  #drawRetry(task) {
    const form = byId("retry");
    form.hidden = !isRetryable(task) || !may.has("task.retry");
    const keys = task.steps.map((step) => step.key).join("\n");
    if (form.hidden || this.#shown.keys === keys) return;
    this.#shown.keys = keys;
    const select = form.elements.from_step;
    select.closest("label").hidden = task.steps.length === 0;
    select.length = 1;
    for (const step of task.steps) select.add(new Option(`From ${step.key}`, step.key));
  }
}

const timeout = () => new Promise((resolve) => setTimeout(resolve, 5000));
const page = new TaskPage(state.task, (seq) => Promise.race([client.waitFor(state.task.instance_id, seq), timeout()]));
const client = makeClient({
  handleTaskUpdate: (event) => page.apply(event),
  handleExecutionStep: (event) => page.apply(event),
  handleStepOutput: (piece, stream) => page.showText(piece, stream),
  handleSnapshot: () => page.restart(),
});
client.subscribe(state.task.instance_id, { since: state.since });
client.subscribeTask(state.task.id);
client.connect();
