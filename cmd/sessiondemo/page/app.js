"use strict";

// All that the server says goes into the page as text, never as markup.

const $ = (id) => document.getElementById(id);
const patience = 8000; // ms to wait for an answer
const pace = 1000; // ms between two looks at the server

// What the page knows of the session on show.
let shown = null; // its public ID, null without one
let usedAt = ""; // when it was last used, as the server writes it
let endsAt = 0; // when it expires, by performance.now(); 0 when no countdown runs
let lifetime = 0; // its time to live, in seconds
let warned = false; // of its end being near
let busy = false; // a request is under way
let turn = 0; // counts the beginnings and ends of actions
let silent = false; // the server did not answer the last look

// say shows a message and tells screen readers. An empty text takes the last one away.
function say(text, isError = false) {
  $("message").classList.toggle("error", isError);
  $("message").textContent = text;
}

// row returns a line of the table of fields.
function row(name, text) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  const value = document.createElement("td");
  head.scope = "row";
  head.textContent = name;
  if (isReserved(name)) {
    head.append(" ", tag("reserved"));
  }
  value.dir = "auto";
  // A time may break before its hour.
  for (const part of text.split(/(?<=\dT)(?=\d)/)) value.append(part, document.createElement("wbr"));
  line.append(head, value);
  return line;
}

function isReserved(name) {
  return name === "created_at" || name === "last_accessed_at" || name.startsWith("session_");
}

// render shows what the server said of the session. If that brings another part of the page, and moveFocus is
// set, the focus goes to its heading.
function render(state, moveFocus) {
  const id = state.authenticated ? state.session_id : null;
  const switched = id !== shown;
  shown = id;
  $("start").hidden = id !== null;
  $("active").hidden = id === null;
  if (id === null) stop();
  else fill(state, switched);
  if (switched && moveFocus) {
    $(id === null ? "start-title" : "active-title").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function fill(state, switched) {
  const { ttl, ...fields } = state.session;
  // The server counts in whole seconds: as long as nobody uses the session, the countdown goes on as it is.
  const news = switched || !endsAt || fields.last_accessed_at !== usedAt || state.configured_ttl !== lifetime;
  if (news) endsAt = performance.now() + Math.max(1, state.ttl) * 1000;
  usedAt = fields.last_accessed_at;
  lifetime = state.configured_ttl;
  $("who").textContent = fields.username ?? "";
  $("views").textContent = fields.page_views ?? "";
  $("session-id").textContent = state.session_id;
  if (switched) {
    $("new-ttl").value = lifetime;
    problem("new-ttl", "");
  }
  const names = Object.keys(fields).sort((a, b) => isReserved(a) - isReserved(b) || (a < b ? -1 : 1));
  $("fields").replaceChildren(...names.map((name) => row(name, fields[name])));
  tick();
}

// item returns a line of the list of sessions. Its countdown is drawn by tick.
function item(s) {
  const line = document.createElement("li");
  const about = document.createElement("div");
  const part = (className, text) => {
    const p = document.createElement("p");
    p.className = className;
    p.textContent = text;
    about.append(p);
    return p;
  };
  const name = part("name", named(s));
  if (s.current) name.append(" ", tag("this one"));
  if (s.remembered) name.append(" ", tag("remembered"));
  part("hint", `Last used ${when(s.last_used)}`);
  const ends = part("hint ends", "");
  if (!s.current) ends.dataset.at = performance.now() + s.ttl * 1000;
  line.append(about);
  if (!s.current) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = "End";
    button.setAttribute("aria-label", `End the session of ${named(s)}, last used ${when(s.last_used)}`);
    button.addEventListener("click", () => endOne(s));
    line.append(button);
  }
  line.dataset.state = JSON.stringify([s.id, s.last_used, s.expires, s.label, s.remembered, s.current]);
  return line;
}

// list shows a user's sessions. Lines of which nothing is new stay, with the focus that they may have.
function list(sessions) {
  const old = new Map([...$("sessions").children].map((line) => [line.dataset.state, line]));
  const focused = $("sessions").contains(document.activeElement);
  const lines = sessions.map(item).map((line) => old.get(line.dataset.state) ?? line);
  const same = lines.length === old.size && lines.every((line, i) => line === $("sessions").children[i]);
  if (!same) $("sessions").replaceChildren(...lines);
  if (focused && !$("sessions").contains(document.activeElement)) $("sessions-title").focus({ preventScroll: true });
  $("end-others").hidden = sessions.length < 2;
  tick();
}

const named = (s) => s.label || "another program";

function tag(text) {
  const span = document.createElement("span");
  span.className = "tag";
  span.textContent = text;
  return span;
}

// when returns a time as people here write it, with the day only if that is another one.
function when(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString();
}

function stop() {
  endsAt = 0;
  $("sessions").replaceChildren();
  warn(false);
}

// tick draws the countdown, and asks the server when it is over.
function tick() {
  if (!endsAt) return;
  const left = Math.max(0, (endsAt - performance.now()) / 1000);
  const late = left <= lateFrom();
  const [text, unit] = clock(Math.ceil(left));
  put("left", text);
  put("unit", unit);
  $("left").classList.toggle("long", text.length > 5);
  $("ring").style.strokeDashoffset = 100 - (100 * Math.min(left, lifetime)) / lifetime;
  $("countdown").classList.toggle("late", late);
  put("countdown-hint", left === 0 ? "The time is over." : late ? "Use it now, or it ends." : "Each use starts the countdown over.");
  warn(late && left > 0, Math.ceil(left));
  for (const line of $("sessions").querySelectorAll(".ends")) {
    const at = Number(line.dataset.at ?? endsAt);
    const rest = Math.max(0, Math.ceil((at - performance.now()) / 1000));
    const text = `Ends in ${clock(rest)[0]}${rest < 100 ? " s" : ""} if nobody uses it`;
    if (line.textContent !== text) line.textContent = text;
  }
  if (left === 0 && !busy) {
    endsAt = 0;
    look();
  }
}

// warn tells screen readers once that the end is near: a countdown that is read out each second helps nobody.
function warn(late, left) {
  if (late !== warned) $("warning").textContent = late ? `The session expires in ${left} seconds. Use it to keep it alive.` : "";
  warned = late;
}

// put writes a text only if it is another one, so that nothing is drawn twice.
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// lateFrom returns how many seconds before its end a session is late: too short a life leaves no time to warn.
function lateFrom() {
  if (lifetime >= 30) return 10;
  return lifetime >= 10 ? 5 : 0;
}

// clock returns a number of seconds as people read it, and its unit.
function clock(seconds) {
  if (seconds < 100) return [String(seconds), seconds === 1 ? "second left" : "seconds left"];
  const two = (n) => String(n).padStart(2, "0");
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d > 0) return [`${d} d ${h} h`, `and ${two(m)}:${two(s)} left`];
  if (h > 0) return [`${h}:${two(m)}:${two(s)}`, "hours left"];
  return [`${m}:${two(s)}`, "minutes left"];
}

// problem marks a field as wrong, or as right again.
function problem(id, text) {
  if (text) $(id).setAttribute("aria-invalid", "true");
  else $(id).removeAttribute("aria-invalid");
  $(`${id}-error`).textContent = text;
}

// ask sends a request and returns the answer's status and body; status 0 says that there was none.
async function ask(method, path, form) {
  try {
    const response = await fetch(path, {
      method,
      body: form && new URLSearchParams(form),
      signal: AbortSignal.timeout(patience),
    });
    return { status: response.status, body: await response.json() };
  } catch {
    return { status: 0, body: {} };
  }
}

// once runs work unless a request is under way: a second click does not ask twice.
async function once(work) {
  if (busy) return;
  busy = true;
  turn++;
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    busy = false;
    turn++;
    document.body.removeAttribute("aria-busy");
  }
}

// act has the server do something and shows what came of it. done is the message for success, field the input
// that a bad request is about.
async function act(method, path, { form = null, done, field = null }) {
  await once(async () => {
    const { status, body } = await ask(method, path, form);
    const end = ended();
    if (field) problem(field, "");
    if (status === 200) {
      const lost = shown !== null && !body.authenticated && path !== "/logout";
      if (body.authenticated && body.sessions) list(body.sessions);
      else render(body, true);
      say(lost ? end : done(body), lost);
    } else if (status === 401) {
      render({ authenticated: false }, true);
      say(end, true);
    } else if (status === 400 && field && body.error.startsWith("TTL")) {
      say("");
      problem(field, body.error);
      $(field).focus();
    } else {
      say(failure(status, body), true);
    }
  });
  await watch();
}

// watch looks, without using anything, whether this user's sessions are still those on show: another browser may
// have come, or have ended this one.
async function watch() {
  if (shown === null) return;
  const answer = await peek("/sessions");
  if (answer === null) return;
  const { status, body } = answer;
  if (status !== 200) {
    if (!silent) say(failure(status, body), true);
    silent = true;
    return;
  }
  if (silent) say("The server answers again.");
  silent = false;
  if (body.authenticated) list(body.sessions);
  const mine = body.sessions.find((s) => s.current);
  if (mine?.id !== shown || mine.last_used !== usedAt) await look();
}

// look shows how the session stands now, without using it: another window, or another program, may have used or
// ended it meanwhile.
async function look() {
  const before = shown;
  const answer = await peek("/session?refresh=false");
  if (answer === null || shown !== before) return; // another look was faster, and has said so
  const { status, body } = answer;
  const end = ended();
  if (status !== 200) {
    say(failure(status, body), true);
    return;
  }
  const focused = $("active").contains(document.activeElement);
  render(body, focused);
  if (before !== null && shown === null) say(end, true);
  if (before !== null && shown !== null && before !== shown) say("Another session was started in this browser.");
}

// peek asks beside whatever else goes on. The answer is null if an action was under way, or began, meanwhile: that
// one knows better.
async function peek(path) {
  if (busy) return null;
  const now = turn;
  const answer = await ask("GET", path);
  return now === turn ? answer : null;
}

// ended says that the session on show is gone. Only if its time is over, to a second, it has expired; else somebody
// ended it, in another window for example.
function ended() {
  const over = performance.now() >= endsAt - 1000;
  return over ? "Your session has expired. Start a new one." : "Your session has been ended elsewhere. Start a new one.";
}

function failure(status, body) {
  if (status === 0) return "The server does not answer. Check that it is running, then try again.";
  const text = body.error || `The server answered with status ${status}.`;
  return status >= 500 ? `${text}. Try again in a moment.` : text;
}

const seconds = (n) => (n === 1 ? "1 second" : `${n} seconds`);

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  act("POST", "/login", {
    form: new FormData(event.target),
    field: "ttl",
    done: (s) => `Session started. It lives ${seconds(s.configured_ttl)} without being used.`,
  });
});
$("increment").addEventListener("click", () => {
  act("POST", "/increment", { done: (s) => `Counted. That makes ${s.page_views} page views.` });
});
$("refresh").addEventListener("click", () => {
  act("GET", "/session", { done: () => "Used. The countdown starts over." });
});
$("change-ttl").addEventListener("submit", (event) => {
  event.preventDefault();
  act("POST", "/ttl", {
    form: new FormData(event.target),
    field: "new-ttl",
    done: (s) => `The session now lives ${seconds(s.configured_ttl)} without being used.`,
  });
});
$("logout").addEventListener("click", () => {
  act("POST", "/logout", { done: () => "You are logged out. The session is gone from the store." });
});
const endOne = (s) => {
  act("POST", "/sessions/end", { form: { id: s.id }, done: () => `The session of ${named(s)} is ended.` });
};
$("end-others").addEventListener("click", () => {
  act("POST", "/sessions/end-others", {
    done: ({ ended: n }) => (n === 1 ? "One other session is ended." : `${n} other sessions are ended.`),
  });
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) watch();
});

setInterval(tick, 250);
setInterval(() => {
  if (!document.hidden) watch();
}, pace);

// Opening the page uses the session. A server that does not answer leaves the form to try again with.
once(async () => {
  const { status, body } = await ask("GET", "/session");
  if (status === 200) {
    render(body, false);
  } else {
    $("start").hidden = false;
    say(failure(status, body), true);
  }
}).then(watch);
