/** The members on the settings page: adds and removes members, and changes their roles. */

import { callApi, Problem, quote } from "./api.js";
import { confirmAction } from "./confirmation.js";
import { BASE, setText, cloneTemplate } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { formatStatus, showTimestamp } from "./format.js";
import { EditableList } from "./editable_list.js";

/** Roles with access to the settings page. */
const MANAGERS = ["admin", "owner"];

/**
 * @param {HTMLElement} section
 * @param {Record<string, any>} state of the page
 * @param {() => void} changed called when a change may have revoked tokens
 */
export function setUpMembers(section, state, changed) {
  const home = `/instances/${quote(state.instance)}`;
  const list = new EditableList(section, `${home}/members`, draw);
  const at = (name) => `${list.path}/${quote(name)}`;

  function draw(member, members) {
    const { root, slots } = cloneTemplate("member-row");
    root.dataset.member = member.name;
    setText(slots.name, member.name);
    setText(slots.role, formatStatus(member.role));
    showTimestamp(slots.since, member.created_at);
    slots.actions.hidden = !mayEdit(member, members);
    slots.choice.setAttribute("aria-label", `Role of ${member.name}`);
    slots.choice.replaceChildren(...state.roles.map((role) => new Option(formatStatus(role), role, false, role === member.role)));
    slots.choice.addEventListener("change", () => (slots.change.hidden = slots.choice.value === member.role));
    slots.change.addEventListener("click", () => change(member, slots.choice.value));
    setText(slots.remove, isMe(member) ? "Leave" : "Remove");
    slots.remove.addEventListener("click", () => remove(member));
    return root;
  }

  function mayEdit(member, members) {
    if (!state.may.includes("member.write")) return false;
    if (member.role !== "owner") return true;
    return state.roles.includes("owner") && members.filter((one) => one.role === "owner").length > 1;
  }

  function isMe(member) {
    return member.user_id === state.me;
  }

  async function change(member, role) {
    const done = await list.act("PUT", at(member.name), { role });
    if (done && isMe(member)) location.assign(MANAGERS.includes(role) ? location.pathname : home);
    else await settle();
  }

  async function remove(member) {
    const me = isMe(member);
    const confirmed = await confirmAction({
      question: me ? "Leave this instance?" : "Remove this member?",
      name: member.name,
      consequence: "loses access. API tokens that this member created are revoked.",
      yes: me ? "Leave" : "Remove",
    });
    if (!confirmed) return;
    const done = await list.act("DELETE", at(member.name));
    if (done && me) location.assign(`${BASE}/`);
    else await settle();
  }

  async function settle() {
    await list.refresh();
    changed();
  }

  const form = document.getElementById("add");
  if (form) handleSubmit(form, () => add(form, list, at, settle));
  list.show(state.members);
}

async function add(form, list, at, settle) {
  const data = new FormData(form);
  const name = data.get("name").trim().toLowerCase();
  if (!name || name === "." || name === "..") throw inputError(name ? "there is no such user" : "this field is required");
  // Adding a member again would silently change the role.
  if (list.items.some((member) => member.name === name)) throw inputError("already a member; change the role above");
  await callApi("PUT", at(name), { body: { role: data.get("role") } });
  form.reset();
  await settle();
}

function inputError(detail) {
  return new Problem({ status: 0, code: "invalid_input", detail, field: "name" });
}
