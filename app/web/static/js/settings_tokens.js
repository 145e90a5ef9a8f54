/** The tokens of an instance's front ends on its settings page: minting and revoking. A secret is shown once. */

import { callApi, Problem, quote } from "./api.js";
import { askFirst } from "./confirmation.js";
import { setText, stamp } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { showMoment } from "./format.js";
import { KeptList } from "./kept_list.js";

const READ = "instance.read";

/**
 * @param {HTMLElement} section
 * @param {Record<string, any>} state of the page
 * @returns {KeptList}
 */
export function keepTokens(section, state) {
  const list = new KeptList(section, `/instances/${quote(state.instance)}/front-end-tokens`, (token) => draw(list, token));
  const form = document.getElementById("mint");
  form.addEventListener("change", () => showParts(form));
  handleSubmit(form, () => mint(form, list));
  const minted = document.getElementById("minted");
  minted.querySelector("button").addEventListener("click", forget);
  addEventListener("pagehide", forget);
  list.show(state.tokens);
  return list;
}

function draw(list, token) {
  const { root, slots } = stamp("token-row");
  root.dataset.token = token.id;
  setText(slots.name, token.name);
  setText(slots.about, describe(token));
  showMoment(slots.until, token.expires_at);
  slots.revoke.addEventListener("click", async () => {
    const agreed = await askFirst({
      question: "Revoke this token?",
      name: token.name,
      consequence: "stops working immediately, and its connections are closed.",
      yes: "Revoke",
    });
    if (agreed && (await list.act("DELETE", `${list.path}/${quote(token.id)}`))) await list.refresh();
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

async function mint(form, list) {
  forget();
  const body = read(form);
  const { secret } = await callApi("POST", list.path, { body });
  form.reset();
  showParts(form);
  const minted = document.getElementById("minted");
  minted.querySelector("pre").textContent = secret;
  minted.hidden = false;
  await list.refresh();
}

function read(form) {
  const given = new FormData(form);
  const one = given.get("scope") === "task";
  const task = given.get("task_id").trim();
  if (one && !task) throw refuse("task_id", "this field is required");
  if (form.elements.lifetime.validity.badInput) throw refuse("lifetime", "must be a number");
  const acts = given.getAll("acts").filter((act) => !(one && act === "task.submit"));
  return {
    name: given.get("name"),
    acts: [READ, ...acts],
    ...(one && { task_id: task }),
    ...(given.get("extent") === "some" && { fields: given.getAll("fields") }),
    ...(given.get("lifetime") && { lifetime: Number(given.get("lifetime")) }),
  };
}

/** Show the parts of the form that go with what is chosen in it. */
function showParts(form) {
  for (const name of ["scope", "extent"]) {
    const chosen = form.elements[name].value;
    for (const part of form.querySelectorAll(`[data-${name}]`)) part.hidden = part.dataset[name] !== chosen;
  }
}

function forget() {
  const minted = document.getElementById("minted");
  minted.hidden = true;
  minted.querySelector("pre").textContent = "";
}

function refuse(field, detail) {
  return new Problem({ status: 0, code: "invalid_input", detail, field });
}
