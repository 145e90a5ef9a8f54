/** The page of an instance's tasks: applies each event to the rendered list. */

import { callApi, quote } from "../server/api.js";
import { makeClient } from "../server/connection.js";
import { BASE, onNextFrame, readState, setText, cloneTemplate } from "../display/dom.js";
import { formatMessage, formatPercent, formatStatus, showTimestamp } from "../display/format.js";
import { applyEvent, nameWait, taskOf } from "../tasks/task_state.js";
import { Waits } from "../tasks/waits.js";

class TaskList {
  #list = document.getElementById("tasks");
  #filter = document.getElementById("filter");
  #more = document.getElementById("more");
  #rows = new Map();
  #tasks = new Map();
  #waits;
  #draw = onNextFrame(() => this.#drawNow());
  #loading = false;
  #repeat = false;
  #cursor;

  constructor(state) {
    this.instanceId = this.#filter.dataset.instance;
    this.#cursor = state.next_cursor;
    for (const task of state.tasks) this.#tasks.set(task.id, task);
    this.#waits = new Waits(this.instanceId, () => [...this.#tasks.values()], (task, waiting) => {
      this.#tasks.set(task.id, { ...task, waiting });
      this.#draw();
    });
    this.#drawNow();
    this.#filter.addEventListener("change", () => this.#applyFilter());
    this.#filter.addEventListener("submit", (event) => event.preventDefault());
    this.#more.addEventListener("click", () => this.#showMore());
    document.getElementById("unfilter").addEventListener("click", () => {
      for (const select of this.#filter.querySelectorAll("select")) select.value = "";
      this.#applyFilter();
    });
    // A user may choose before this script runs, and a browser may restore what was chosen before a reload.
    if (!this.#isFilterRendered) this.#applyFilter();
  }

  /** Apply an event. Reloads the list only for an unknown task whose status changes, which may now match the filter. */
  apply(event) {
    const known = this.#tasks.get(event.task_id);
    const task = known ? applyEvent(known, event) : taskOf(event);
    if (task) {
      this.#tasks.set(task.id, task);
      this.#draw();
    }
    if (!task && event.type === "task_update" && event.data.status) this.#refresh();
  }

  /** Reload the list. */
  restart() {
    this.#tasks.clear();
    this.#refresh();
  }

  get #filterQuery() {
    const query = new URLSearchParams(new FormData(this.#filter));
    for (const [name, value] of [...query]) if (!value) query.delete(name);
    return query;
  }

  /** Whether the server rendered the tasks of the filter that is chosen now. */
  get #isFilterRendered() {
    const chosen = (select) => select.querySelector("[selected]")?.value ?? "";
    return [...this.#filter.querySelectorAll("select")].every((select) => select.value === chosen(select));
  }

  #belongs(task) {
    const query = this.#filterQuery;
    return ["status", "kind"].every((name) => !query.has(name) || query.get(name) === task[name]);
  }

  #applyFilter() {
    history.replaceState(null, "", `?${this.#filterQuery}`);
    this.restart();
  }

  /** Reload the first page; a call during a reload repeats it afterwards. */
  async #refresh() {
    this.#repeat = true;
    if (this.#loading) return;
    this.#loading = true;
    while (this.#repeat) {
      this.#repeat = false;
      const fresh = this.#tasks.size === 0;
      const page = await this.#read(this.#filterQuery);
      if (page && fresh) this.#cursor = page.next_cursor;
    }
    this.#loading = false;
  }

  async #showMore() {
    const query = this.#filterQuery;
    query.set("cursor", this.#cursor);
    this.#more.disabled = true;
    const page = await this.#read(query);
    if (page) this.#cursor = page.next_cursor;
    this.#more.disabled = false;
    this.#draw();
  }

  async #read(query) {
    try {
      const page = await callApi("GET", `/instances/${quote(this.instanceId)}/tasks?${query}`);
      for (const task of page.items) {
        const known = this.#tasks.get(task.id);
        if (!known || known.last_seq <= task.last_seq) this.#tasks.set(task.id, task);
      }
      this.#draw();
      return page;
    } catch {
      // The header shows that the server is unreachable; the next subscription catches up.
      return null;
    }
  }

  #drawNow() {
    this.#waits.check();
    const shown = [...this.#tasks.values()].filter((task) => this.#belongs(task)).sort(latestFirst);
    const ids = new Set(shown.map((task) => task.id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.root.remove();
      this.#rows.delete(id);
    }
    shown.forEach((task, place) => this.#drawRow(task, place));
    const isFiltered = this.#filterQuery.size > 0;
    document.getElementById("empty").hidden = shown.length > 0 || isFiltered;
    document.getElementById("none-match").hidden = shown.length > 0 || !isFiltered;
    this.#more.hidden = !this.#cursor;
    setText(document.getElementById("count"), `${shown.length}${this.#cursor ? "+" : ""} task${shown.length === 1 ? "" : "s"}`);
  }

  #drawRow(task, place) {
    let row = this.#rows.get(task.id);
    if (!row) {
      row = { ...cloneTemplate("task-row"), drawn: null };
      row.slots.link.href = `${BASE}/tasks/${quote(task.id)}`;
      row.root.dataset.task = task.id;
      this.#rows.set(task.id, row);
    }
    if (this.#list.children[place] !== row.root) this.#list.insertBefore(row.root, this.#list.children[place] ?? null);
    if (row.drawn === task) return;
    row.drawn = task;
    drawTask(row.slots, task);
  }
}

function drawTask(slots, task) {
  setText(slots.status, task.cancel_requested ? "Cancelling" : formatStatus(task.status));
  slots.status.dataset.status = task.status;
  setText(slots.title, task.title);
  slots.title.title = task.title;
  setText(slots.kind, `${task.kind} · ${task.id.slice(0, 8)}`);
  slots.bar.value = task.progress;
  slots.bar.dataset.status = task.status;
  slots.bar.setAttribute("aria-label", `Progress of ${task.title}`);
  setText(slots.percent, formatPercent(task.progress));
  const wait = nameWait(task);
  setText(slots.message, wait || formatMessage(task));
  slots.message.title = wait || task.message;
  slots.message.classList.toggle("warning", wait !== "");
  showTimestamp(slots.time, task.created_at, true);
}

function latestFirst(a, b) {
  return a.created_at === b.created_at ? (a.id < b.id ? 1 : -1) : a.created_at < b.created_at ? 1 : -1;
}

const state = readState();
const list = new TaskList(state);
const client = makeClient({
  handleTaskUpdate: (event) => list.apply(event),
  handleExecutionStep: (event) => list.apply(event),
  handleSnapshot: () => list.restart(),
});
client.subscribe(list.instanceId, { since: state.since });
client.connect();
