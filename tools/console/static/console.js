// What htmx does not do: messages of errors, and the focus where a dialog's answer came.
"use strict";

const notices = () => document.getElementById("notices");

function notice(text, kind) {
  const note = document.createElement("div");
  note.className = `note ${kind}`;
  note.textContent = text;
  notices().replaceChildren(note);
}

// Good news goes by itself. What went wrong stays.
const GOOD_NEWS_SECONDS = 10;
let going;
new MutationObserver(() => {
  clearTimeout(going);
  if (notices().querySelector(".note.good")) going = setTimeout(() => notices().replaceChildren(), GOOD_NEWS_SECONDS * 1000);
}).observe(notices(), { childList: true });

const UNREACHABLE = "The console does not answer. If it was stopped in the terminal, start it again.";
const ANEW = "The console was started anew: open the address that its terminal shows.";

// Where what is shown live breaks off, the page must not look as if all went on.
let isCutOff = false;
document.addEventListener("htmx:sse:error", async () => {
  isCutOff = true;
  try {
    const answer = await fetch("/jobs/0"); // there is no such job: only whether this page is let in counts
    notice(answer.status === 401 ? ANEW : "What is shown live broke off. It is tried again.", "bad");
  } catch {
    notice(UNREACHABLE, "bad");
  }
});
document.addEventListener("htmx:sse:after:message", () => {
  if (isCutOff) notices().replaceChildren();
  isCutOff = false;
});

// Who confirmed one act has not confirmed the next.
document.addEventListener("htmx:finally:request", (event) => {
  const form = event.target.closest?.("form");
  for (const box of form?.querySelectorAll("input[name=confirmed]") ?? []) box.checked = false;
});

// A text field that was drawn larger has a style of its own, which htmx would give to the one that takes its place.
document.addEventListener("htmx:before:swap", () => {
  for (const field of document.querySelectorAll("textarea[style]")) field.removeAttribute("style");
});

document.addEventListener("htmx:error", () => {
  notice(UNREACHABLE, "bad");
});
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail.ctx?.response?.status;
  if (status === 413) return; // the answer says it
  notice(status === 401 || status === 403 ? ANEW : `The console could not do that (HTTP ${status}).`, "bad");
});

// The charts. Colours are read anew with each drawing, so that they are those of the theme.
const LINES = ["--main", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];
const ASKED_AGAIN_SECONDS = 5; // after an answer that failed

function colour(name) {
  const probe = document.getElementById("content");
  probe.style.setProperty("caret-color", `var(${name})`);
  return getComputedStyle(probe).caretColor;
}

function marks(trips) {
  return { hooks: { draw: (chart) => {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.strokeStyle = colour("--bad");
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const at of trips()) {
      const x = chart.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  } } };
}

function moment(at, place, all) {
  const text = new Date(at * 1000).toISOString();
  return all[all.length - 1] - all[0] > 86400 ? text.slice(5, 16).replace("T", " ") : text.slice(11, 16);
}

function drawn(place, names, trips, isSparse) {
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line") } };
  const series = names.map((name, number) => ({
    label: name, stroke: () => colour(LINES[number % LINES.length]), width: 2, spanGaps: false, points: { show: isSparse, size: 5 },
  }));
  const chart = new uPlot({
    width: place.clientWidth, height: 240, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
    scales: { x: { range: (chart, first, last) => [first, last + (chart.data[0][1] - chart.data[0][0] || 0)] }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
    axes: [{ ...axis, space: 90, values: (_, moments) => moments.map(moment) }, { ...axis, size: 60 }], legend: { show: names.length > 1, live: false }, cursor: { show: false },
    series: [{}, ...series], plugins: [marks(trips)],
  }, [[], ...names.map(() => [])], place);
  new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: 240 })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw());
  return chart;
}

function told(values, unit) {
  const known = values.flat().filter((value) => value !== null);
  if (!known.some((value) => value > 0)) return "nothing in this time";
  return `at most ${Math.max(...known).toLocaleString("en", { maximumFractionDigits: 1 })} ${unit}`;
}

async function chartsShown(all) {
  let trips = [];
  let again = ASKED_AGAIN_SECONDS;
  try {
    const answer = await fetch(all.dataset.source);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.why);
    trips = found.trips;
    for (const key of ["rows", "age", "milliseconds", "reasons"]) {
      const place = document.getElementById(`chart-${key}`);
      const names = key === "reasons" ? Object.keys(found.reasons) : [document.getElementById(`chart-${key}-name`).textContent];
      const values = key === "reasons" ? Object.values(found.reasons) : [found[key]];
      const before = place.sluice;
      if (!before || before.names.join() !== names.join()) {
        place.replaceChildren();
        place.sluice = { names, chart: drawn(place, names, () => place.sluice?.trips ?? [], key === "age" || key === "milliseconds") };
      }
      place.sluice.trips = trips;
      place.sluice.chart.setData([found.times, ...values]);
      document.getElementById(`chart-${key}-told`).textContent = told(values, place.dataset.unit);
    }
    again = Number(all.dataset.again);
  } catch (error) {
    notice(error.message || "The console does not answer.", "bad");
  }
  setTimeout(function next() {
    if (document.hidden) document.addEventListener("visibilitychange", next, { once: true });
    else chartsShown(all);
  }, again * 1000);
}

const charts = document.getElementById("charts");
if (charts) chartsShown(charts);

// A file is read here and shown before it is sent.
document.addEventListener("change", async (event) => {
  const into = document.getElementById(event.target.dataset?.into ?? "");
  if (!into || !event.target.files[0]) return;
  into.value = await event.target.files[0].text();
  if (!into.value.trim()) notice("The file holds no record.", "bad");
});
