/** The members of an instance on its settings page: adding, changing roles, removing. */

import { callApi, Problem, quote } from "./api.js";
import { askFirst } from "./confirmation.js";
import { BASE, setText, stamp } from "./dom.js";
import { handleSubmit } from "./form_errors.js";
import { inWords, showMoment } from "./format.js";
import { KeptList } from "./kept_list.js";

/** Whoever becomes anything else has no settings page any more. */
const KEEPERS = ["admin", "owner"];

/**
 * @param {HTMLElement} section
 * @param {Record<string, any>} state of the page
 * @param {() => void} changed is called when tokens may have been revoked along with a role
 */
export function keepMembers(section, state, changed) {
  const home = `/instances/${quote(state.instance)}`;
  const list = new KeptList(section, `${home}/members`, draw);
  const at = (name) => `${list.path}/${quote(name)}`;

  function draw(member, members) {
    const { root, slots } = stamp("member-row");
    root.dataset.member = member.name;
    setText(slots.name, member.name);
    setText(slots.role, inWords(member.role));
    showMoment(slots.since, member.created_at);
    slots.actions.hidden = !mayTouch(member, members);
    slots.choice.setAttribute("aria-label", `Role of ${member.name}`);
    slots.choice.replaceChildren(...state.roles.map((role) => new Option(inWords(role), role, false, role === member.role)));
    slots.choice.addEventListener("change", () => (slots.change.hidden = slots.choice.value === member.role));
    slots.change.addEventListener("click", () => change(member, slots.choice.value));
    setText(slots.remove, isMe(member) ? "Leave" : "Remove");
    slots.remove.addEventListener("click", () => remove(member));
    return root;
  }

  function mayTouch(member, members) {
    if (!state.may.includes("member.write")) return false;
    if (member.role !== "owner") return true;
    return state.roles.includes("owner") && members.filter((one) => one.role === "owner").length > 1;
  }

  function isMe(member) {
    return member.user_id === state.me;
  }

  async function change(member, role) {
    const done = await list.act("PUT", at(member.name), { role });
    if (done && isMe(member)) location.assign(KEEPERS.includes(role) ? location.pathname : home);
    else await settle();
  }

  async function remove(member) {
    const me = isMe(member);
    const agreed = await askFirst({
      question: me ? "Leave this instance?" : "Remove this member?",
      name: member.name,
      consequence: "loses access. API tokens that this member created are revoked.",
      yes: me ? "Leave" : "Remove",
    });
    if (!agreed) return;
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
  const given = new FormData(form);
  const name = given.get("name").trim().toLowerCase();
  if (!name || name === "." || name === "..") throw refuse(name ? "there is no such user" : "this field is required");
  // Otherwise adding somebody twice would change what they are without a word.
  if (list.items.some((member) => member.name === name)) throw refuse("already a member; change the role above");
  await callApi("PUT", at(name), { body: { role: given.get("role") } });
  form.reset();
  await settle();
}

function refuse(detail) {
  return new Problem({ status: 0, code: "invalid_input", detail, field: "name" });
}
