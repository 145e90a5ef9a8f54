/** How statuses, moments, durations and percents are written. */

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dates = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** @param {string} status @returns {string} `IN_PROGRESS` as `In progress` */
export function inWords(status) {
  const words = status.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {number} percent @returns {string} */
export function formatPercent(percent) {
  return `${Math.floor(percent)} %`;
}

/** @param {string | null} stamp @returns {string} date and time by the reader's clock */
export function formatMoment(stamp) {
  return stamp ? moments.format(new Date(stamp)) : "–";
}

/** @param {string | null} stamp @param {Date} [now] @returns {string} the time today, the date otherwise */
export function formatBriefly(stamp, now = new Date()) {
  if (!stamp) return "–";
  const moment = new Date(stamp);
  return (moment.toDateString() === now.toDateString() ? clock : dates).format(moment);
}

/** @param {string | null} from @param {string | null} to @returns {string} such as `340 ms`, `2.4 s`, `3 min 5 s` */
export function formatDuration(from, to) {
  if (!from || !to) return "";
  const milliseconds = Math.max(0, new Date(to) - new Date(from));
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Write a moment into a `<time>`. @param {HTMLTimeElement} element @param {string | null} stamp @param {boolean} [brief] */
export function showMoment(element, stamp, brief = false) {
  const text = brief ? formatBriefly(stamp) : formatMoment(stamp);
  if (element.textContent === text) return;
  element.textContent = text;
  element.dateTime = stamp ?? "";
  if (brief) element.title = formatMoment(stamp);
}
