/** The page of an instance's schedules: lists, adds, pauses and removes schedules. */

import { AgentForm } from "../forms/agent_form.js";
import { callApi, Problem, quote } from "../server/api.js";
import { makeClient } from "../server/connection.js";
import { findSlots, onNextFrame, readState, setText, cloneTemplate } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";
import { formatInterval, formatTimestamp, showTimestamp } from "../display/format.js";

const state = readState();
const mayWrite = state.may.includes("schedule.write");

class ScheduleList {
  #list = document.getElementById("schedules");
  #dialog = document.getElementById("confirm");
  #error = document.getElementById("action-error");
  #more = document.getElementById("more");

  /** `cursor` is the start of this page of the list; null for the first page. */
  constructor(instanceId, page, cursor) {
    this.instanceId = instanceId;
    this.cursor = cursor;
    this.#draw(page);
  }

  /** Reload this page of the list. */
  async refresh() {
    const from = this.cursor ? `?cursor=${quote(this.cursor)}` : "";
    try {
      this.#draw(await callApi("GET", `/instances/${quote(this.instanceId)}/schedules${from}`));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  #draw({ items: schedules, next_cursor: next }) {
    this.#more.hidden = !next;
    if (next) this.#more.href = `?cursor=${quote(next)}`;
    const focused = document.activeElement?.closest?.("[data-schedule]")?.dataset.schedule;
    const control = document.activeElement?.dataset?.slot;
    this.#list.replaceChildren(...schedules.map((schedule) => this.#row(schedule)));
    document.getElementById("empty").hidden = schedules.length > 0;
    if (focused) this.#list.querySelector(`[data-schedule="${focused}"] [data-slot="${control}"]`)?.focus();
  }

  #row(schedule) {
    const { root, slots } = cloneTemplate("schedule-row");
    const finished = schedule.timing === "once" && !schedule.next_slot_at && !schedule.paused;
    root.dataset.schedule = schedule.id;
    setText(slots.state, schedule.paused ? "Paused" : finished ? "Finished" : "Active");
    slots.state.dataset.status = schedule.paused ? "WAITING" : finished ? "" : "COMPLETED";
    setText(slots.name, schedule.name);
    slots.name.title = schedule.name;
    setText(slots.timing, describe(schedule));
    setText(slots.kind, schedule.kind);
    showTimestamp(slots.next, schedule.next_slot_at);
    showTimestamp(slots.last, schedule.last_slot_at);
    setText(slots.toggle, schedule.paused ? "Resume" : "Pause");
    slots.toggle.hidden = finished || !mayWrite;
    slots.remove.hidden = !mayWrite;
    const path = `/schedules/${quote(schedule.id)}`;
    slots.toggle.addEventListener("click", () => this.#act("POST", `${path}/${schedule.paused ? "resume" : "pause"}`));
    slots.remove.addEventListener("click", () => this.#confirm(schedule.name, () => this.#act("DELETE", path)));
    return root;
  }

  #confirm(name, remove) {
    setText(findSlots(this.#dialog).name, name);
    this.#dialog.returnValue = "no";
    this.#dialog.addEventListener("close", () => this.#dialog.returnValue === "yes" && remove(), { once: true });
    this.#dialog.showModal();
  }

  async #act(method, path) {
    this.#error.hidden = true;
    try {
      await callApi(method, path);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#error.textContent = problem.message;
      this.#error.hidden = false;
    }
    await this.refresh();
  }
}

function describe({ cron, timezone, interval_seconds: seconds, run_at: moment }) {
  if (cron) return `${cron} (${timezone})`;
  if (seconds) return `every ${formatInterval(seconds)}`;
  return `once, ${formatTimestamp(moment)}`;
}

function readTiming(data) {
  const timing = data.get("timing");
  if (timing === "cron") return { cron: data.get("cron"), timezone: data.get("timezone") };
  const text = data.get(timing);
  if (text === "") throw new Problem({ status: 0, detail: "this field is required", field: timing });
  return { [timing]: timing === "run_at" ? new Date(text).toISOString() : Number(text) };
}

function showTiming(form) {
  const timing = form.elements.timing.value;
  for (const part of form.querySelectorAll("[data-timing]")) part.hidden = part.dataset.timing !== timing;
}

const form = document.getElementById("add");
const list = new ScheduleList(form.dataset.instance, state.schedules, state.cursor);

if (state.agents.length > 0) {
  const agentForm = new AgentForm(form, state.agents);
  form.elements.timezone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  form.addEventListener("change", () => showTiming(form));
  handleSubmit(form, async () => {
    const data = new FormData(form);
    const body = {
      name: data.get("name"),
      ...readTiming(data),
      catch_up: data.get("catch_up"),
      overlap: data.get("overlap"),
      kind: agentForm.kind,
      input: agentForm.read(),
    };
    await callApi("POST", `/instances/${quote(list.instanceId)}/schedules`, { body });
    form.elements.name.value = "";
    document.getElementById("add-panel").open = false;
    await list.refresh();
  });
}

// Schedules have no events, but a firing submits a task and moves the next slot.
const refresh = onNextFrame(() => list.refresh());
const client = makeClient({
  handleTaskUpdate: (event) => event.data.status === "SUBMITTED" && refresh(),
  handleSnapshot: refresh,
});
client.subscribe(list.instanceId, { since: state.since });
client.connect();
