/** Creates and fills elements. Text becomes text nodes only: nothing here parses HTML. */

/** Path prefix of all pages, without a trailing slash; empty at the root of a server. */
export const BASE = document.querySelector("meta[name=base]")?.content ?? "";

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `class`, `dataset`, `on…` listeners; true sets an empty attribute, false and null omit it
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Clone a `<template>`; its slots are the elements with `data-slot`.
 * @param {string} id
 * @returns {{root: HTMLElement, slots: Record<string, HTMLElement>}}
 */
export function cloneTemplate(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  return { root, slots: findSlots(root) };
}

/** @param {Element} root @returns {Record<string, HTMLElement>} */
export function findSlots(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-slot]")].map((slot) => [slot.dataset.slot, slot]));
}

/** Set the text if it differs: screen readers and selections stay undisturbed. @param {Element} element @param {any} value */
export function setText(element, value) {
  const text = value === null || value === undefined ? "" : String(value);
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} id @returns {any} the state that the server rendered into the page */
export function readState(id = "state") {
  return JSON.parse(document.getElementById(id).textContent);
}

/**
 * Return a function that schedules one call of `draw` before the next repaint.
 * @param {() => void} draw
 * @returns {() => void}
 */
export function onNextFrame(draw) {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    const once = () => {
      if (!scheduled) return;
      scheduled = false;
      clearTimeout(timer);
      draw();
    };
    // A page in the background gets no frames, but its title and state must stay current.
    const timer = setTimeout(once, 250);
    requestAnimationFrame(once);
  };
}
