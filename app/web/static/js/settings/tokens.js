/** The API tokens on the settings page: creates and revokes tokens; shows a secret once. */

import { callApi, Problem, quote } from "../server/api.js";
import { confirmAction } from "./confirmation.js";
import { setText, cloneTemplate } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";
import { showTimestamp } from "../display/format.js";
import { EditableList } from "./editable_list.js";

const READ = "instance.read";

/**
 * @param {HTMLElement} section
 * @param {Record<string, any>} state of the page
 * @returns {EditableList}
 */
export function setUpTokens(section, state) {
  const list = new EditableList(section, `/instances/${quote(state.instance)}/front-end-tokens`, (token) => draw(list, token));
  const form = document.getElementById("create-token");
  form.addEventListener("change", () => showMatching(form));
  handleSubmit(form, () => createToken(form, list));
  const created = document.getElementById("created-token");
  created.querySelector("button").addEventListener("click", hideSecret);
  addEventListener("pagehide", hideSecret);
  list.show(state.tokens);
  return list;
}

function draw(list, token) {
  const { root, slots } = cloneTemplate("token-row");
  root.dataset.token = token.id;
  setText(slots.name, token.name);
  setText(slots.about, describe(token));
  showTimestamp(slots.until, token.expires_at);
  slots.revoke.addEventListener("click", async () => {
    const confirmed = await confirmAction({
      question: "Revoke this token?",
      name: token.name,
      consequence: "stops working immediately, and its connections are closed.",
      yes: "Revoke",
    });
    if (confirmed && (await list.act("DELETE", `${list.path}/${quote(token.id)}`))) await list.refresh();
  });
  return root;
}

function describe({ acts, task_id: task, fields }) {
  const more = (acts ?? []).filter((act) => act !== READ).map((act) => act.split(".").at(-1));
  return [
    more.length ? `read, ${more.join(", ")}` : "read only",
    task ? `task ${task}` : "whole instance",
    ...(fields ? [fields.length ? `fields ${fields.join(", ")}` : "no text fields"] : []),
  ].join(" · ");
}

async function createToken(form, list) {
  hideSecret();
  const body = read(form);
  const { secret } = await callApi("POST", list.path, { body });
  form.reset();
  showMatching(form);
  const created = document.getElementById("created-token");
  created.querySelector("pre").textContent = secret;
  created.hidden = false;
  await list.refresh();
}

function read(form) {
  const data = new FormData(form);
  const one = data.get("scope") === "task";
  const task = data.get("task_id").trim();
  if (one && !task) throw inputError("task_id", "this field is required");
  if (form.elements.lifetime.validity.badInput) throw inputError("lifetime", "must be a number");
  const acts = data.getAll("acts").filter((act) => !(one && act === "task.submit"));
  return {
    name: data.get("name"),
    acts: [READ, ...acts],
    ...(one && { task_id: task }),
    ...(data.get("extent") === "some" && { fields: data.getAll("fields") }),
    ...(data.get("lifetime") && { lifetime: Number(data.get("lifetime")) }),
  };
}

/** Show the parts of the form that match the selected options. */
function showMatching(form) {
  for (const name of ["scope", "extent"]) {
    const value = form.elements[name].value;
    for (const part of form.querySelectorAll(`[data-${name}]`)) part.hidden = part.dataset[name] !== value;
  }
}

function hideSecret() {
  const created = document.getElementById("created-token");
  created.hidden = true;
  created.querySelector("pre").textContent = "";
}

function inputError(field, detail) {
  return new Problem({ status: 0, code: "invalid_input", detail, field });
}
