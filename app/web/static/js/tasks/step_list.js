/** Shows the steps of a task: each with its output, or with its streamed text while it runs. */

import { callApi, Problem, quote } from "../server/api.js";
import { setText, cloneTemplate } from "../display/dom.js";
import { formatDuration } from "../display/format.js";
import { statusOfStep } from "./task_state.js";
import { viewValue } from "./value_view.js";

export class StepList {
  #list;
  #rows = new Map();
  #streams = new Map();

  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.#list = list;
  }

  /**
   * Store a running step's text for the next `draw`. It may arrive before the event of the step's start.
   * @param {{step_id: string, attempt: number}} piece
   * @param {{text: string, start: number}} stream
   */
  stream({ step_id: stepId, attempt }, stream) {
    this.#streams.set(stepId, { ...stream, attempt });
  }

  /** @param {Record<string, any>[]} steps in their order */
  draw(steps) {
    steps.forEach((step, place) => {
      const row = this.#row(step);
      if (this.#list.children[place] !== row.root) this.#list.insertBefore(row.root, this.#list.children[place] ?? null);
      if (row.drawn !== step) this.#drawStep(row, step);
      const stream = this.#streams.get(step.step_id);
      const running = step.status === "in_progress" && stream?.attempt === step.attempt;
      this.#drawStream(row, running ? stream : null);
      if (!running && stream?.attempt <= step.attempt) this.#streams.delete(step.step_id);
    });
    while (this.#list.children.length > steps.length) {
      this.#rows.delete(this.#list.lastElementChild.dataset.step);
      this.#list.lastElementChild.remove();
    }
  }

  #row(step) {
    let row = this.#rows.get(step.step_id);
    if (!row) {
      row = { ...cloneTemplate("step-row"), drawn: null };
      row.root.dataset.step = step.step_id;
      const shown = row;
      row.root.querySelector("details").addEventListener("toggle", () => this.#loadOutput(shown));
      this.#rows.set(step.step_id, row);
    }
    return row;
  }

  #drawStep(row, step) {
    const { root, slots } = row;
    row.drawn = step;
    root.dataset.status = statusOfStep(step);
    root.dataset.key = step.key;
    setText(slots.agent, step.agent);
    setText(slots.action, step.action);
    setText(slots.status, statusOfStep(step).replaceAll("_", " "));
    setText(slots.time, formatDuration(step.started_at, step.completed_at));
    setText(slots.key, step.key);
    setText(slots.tries, step.tries > 1 ? `Try ${step.tries}` : "");
    slots.tries.hidden = !(step.tries > 1);
    setText(slots.message, step.message ?? "");
    slots.message.hidden = !step.message;
    setText(slots.error, [step.error?.type, step.error?.message].filter(Boolean).join(": "));
    slots.error.hidden = !step.error || statusOfStep(step) === "cancelled";
    this.#drawOutput(row, step.output);
    this.#loadOutput(row);
  }

  #drawOutput(row, output) {
    row.output = output;
    row.slots.output.replaceChildren(...(output === null || output === undefined ? [] : [viewValue(output)]));
  }

  /** Load the output of an opened step: events contain outputs, a list of steps does not. */
  async #loadOutput(row) {
    const { drawn: step, root, slots } = row;
    if (row.output !== undefined || step.status !== "completed" || !root.querySelector("details").open) return;
    try {
      const loaded = await callApi("GET", `/tasks/${quote(step.task_id)}/steps/${quote(step.step_id)}`);
      if (row.drawn === step) this.#drawOutput(row, loaded.output);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (row.drawn === step) setText(slots.output, problem.message);
    }
  }

  #drawStream({ slots }, stream) {
    slots.stream.hidden = !stream;
    if (!stream) return;
    setText(slots.stream, (stream.start > 0 ? "… " : "") + stream.text);
    slots.stream.scrollTop = slots.stream.scrollHeight;
  }
}
