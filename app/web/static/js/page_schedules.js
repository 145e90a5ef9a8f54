/** An instance's schedules: the list, and adding one. */

import { AgentForm } from "./agent_form.js";
import { callApi, Problem, quote } from "./api.js";
import { makeClient } from "./connection.js";
import { findSlots, onNextFrame, readState, setText, stamp } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { showMoment } from "./format.js";

const state = readState();
const mayWrite = state.may.includes("schedule.write");

class ScheduleList {
  #list = document.getElementById("schedules");
  #dialog = document.getElementById("confirm");
  #error = document.getElementById("action-error");
  #more = document.getElementById("more");

  /** `cursor` is where this page of the list begins; null for the first. */
  constructor(instanceId, page, cursor) {
    this.instanceId = instanceId;
    this.cursor = cursor;
    this.#draw(page);
  }

  /** Read this page of the list again. */
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
    const { root, slots } = stamp("schedule-row");
    const over = schedule.timing === "once" && !schedule.next_slot_at && !schedule.paused;
    root.dataset.schedule = schedule.id;
    setText(slots.state, schedule.paused ? "Paused" : over ? "Finished" : "Active");
    slots.state.dataset.status = schedule.paused ? "WAITING" : over ? "" : "COMPLETED";
    setText(slots.name, schedule.name);
    setText(slots.timing, describe(schedule));
    setText(slots.kind, schedule.kind);
    showMoment(slots.next, schedule.next_slot_at);
    showMoment(slots.last, schedule.last_slot_at);
    setText(slots.toggle, schedule.paused ? "Resume" : "Pause");
    slots.toggle.hidden = over || !mayWrite;
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
  if (seconds) return `every ${seconds} s`;
  return `once, ${new Date(moment).toLocaleString()}`;
}

function readTiming(given) {
  const chosen = given.get("timing");
  if (chosen === "cron") return { cron: given.get("cron"), timezone: given.get("timezone") };
  const text = given.get(chosen);
  if (text === "") throw new Problem({ status: 0, detail: "this field is required", field: chosen });
  return { [chosen]: chosen === "run_at" ? new Date(text).toISOString() : Number(text) };
}

function showTiming(form) {
  const chosen = form.elements.timing.value;
  for (const part of form.querySelectorAll("[data-timing]")) part.hidden = part.dataset.timing !== chosen;
}

const form = document.getElementById("add");
const list = new ScheduleList(form.dataset.instance, state.schedules, state.cursor);

if (state.agents.length > 0) {
  const agentForm = new AgentForm(form, state.agents);
  form.elements.timezone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  form.addEventListener("change", () => showTiming(form));
  handleSubmit(form, async () => {
    const given = new FormData(form);
    const body = {
      name: given.get("name"),
      ...readTiming(given),
      catch_up: given.get("catch_up"),
      overlap: given.get("overlap"),
      kind: agentForm.kind,
      input: agentForm.read(),
    };
    await callApi("POST", `/instances/${quote(list.instanceId)}/schedules`, { body });
    form.elements.name.value = "";
    document.getElementById("add-panel").open = false;
    await list.refresh();
  });
}

// Schedules have no events of their own, but a firing submits a task and moves the next slot.
const refresh = onNextFrame(() => list.refresh());
const client = makeClient({
  handleTaskUpdate: (event) => event.data.status === "SUBMITTED" && refresh(),
  handleSnapshot: refresh,
});
client.subscribe(list.instanceId, { since: state.since });
client.connect();
