// Times in ms after the page's base; shown in UTC, to the millisecond.

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
// What a person would choose between two lines of a time axis.
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365, 3650].map((n) => n * DAY),
];

const iso = (base, at) => new Date(base + Math.floor(at)).toISOString();
const dayOf = (base, at) => iso(base, at).slice(0, 10);
const clockOf = (base, at) => iso(base, at).slice(11, 23);
const momentOf = (base, at) => `${dayOf(base, at)} ${clockOf(base, at)}`;

/** A length in its two largest units: "350 ms", "2.5 s", "12 min 4 s", "1 d 3 h". */
function lengthOf(ms) {
  if (ms > 0 && ms < 1) return `${Math.round(ms * 1e6).toLocaleString("en")} ns`;
  if (ms < SECOND) return `${Math.floor(ms)} ms`;
  if (ms < MINUTE) return `${Math.floor(ms) / SECOND} s`;
  const [size, unit, next, nextUnit] =
    ms >= DAY ? [DAY, "d", HOUR, "h"] : ms >= HOUR ? [HOUR, "h", MINUTE, "min"] : [MINUTE, "min", SECOND, "s"];
  const rest = Math.floor((ms % size) / next);
  return `${Math.floor(ms / size).toLocaleString("en")} ${unit}` + (rest ? ` ${rest} ${nextUnit}` : "");
}

/** The lines of the axis from `from` to `to`, at most about one per `room` pixels of `width`. */
function ticksOf(base, from, to, width, room) {
  const wanted = ((to - from) * room) / Math.max(width, 1);
  const step = STEPS.find((each) => each >= wanted) ?? STEPS.at(-1);
  const ticks = [];
  // Counted from the epoch in UTC, so that lines fall on whole hours and midnights.
  for (let at = Math.ceil((base + from) / step) * step; at <= base + to; at += step) {
    const [date, time] = [dayOf(at, 0), clockOf(at, 0)];
    const label = step < SECOND ? time : step < MINUTE ? time.slice(0, 8) : step < DAY ? time.slice(0, 5) : date;
    ticks.push({ at: at - base, label, midnight: step < DAY && at % DAY === 0 ? date : "" });
  }
  return ticks;
}
