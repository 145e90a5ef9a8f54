/** The retention and redaction policy on the settings page. */

import { callApi, Problem, quote } from "../server/api.js";
import { findSlots, setText } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";

const EMAILS = { "": null, true: true, false: false };

/** @param {HTMLFormElement} form @param {Record<string, any>} state of the page */
export function setUpPolicy(form, state) {
  const { saved } = findSlots(form);
  form.addEventListener("input", () => setText(saved, ""));
  handleSubmit(form, async () => {
    setText(saved, "");
    const body = read(form);
    fill(form, await callApi("PUT", `/instances/${quote(state.instance)}/policy`, { body }));
    setText(saved, "Saved");
  });
  fill(form, state.policy);
}

function fill(form, policy) {
  form.elements.event_days.value = policy.event_days ?? "";
  form.elements.task_days.value = policy.task_days ?? "";
  form.elements.secret_fields.value = (policy.secret_fields ?? []).join("\n");
  form.elements.hide_emails.value = policy.hide_emails === null ? "" : String(policy.hide_emails);
}

function read(form) {
  const names = form.elements.secret_fields.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return {
    event_days: readDays(form.elements.event_days),
    task_days: readDays(form.elements.task_days),
    secret_fields: names.length ? names : null,
    hide_emails: EMAILS[form.elements.hide_emails.value],
  };
}

function readDays(input) {
  if (input.validity.badInput) throw new Problem({ status: 0, detail: "must be a number", field: input.name });
  return input.value === "" ? null : Number(input.value);
}
