// The console: tasks and records as the JSON API gives them, drawn with textContent only, so that no ticket is markup.

const REFRESH_MS = 3000;
const GATE_EVERY = 5; // refreshes: asking for the gate makes the service try the phone system
const SIZE = 20;
const LAST_PAGE = 500; // the API refuses what is beyond it
const KEY = "waihu-api-key";
const LOOK = {
  已完成: "good", 通话中: "busy", 呼叫中: "busy", 响铃中: "busy", 排队中: "busy", 待重拨: "warn", 未接通: "warn", 停止中: "warn",
  已停止: "warn", 已过期: "warn", 失败: "bad", 结果未知: "bad",
};
const STATES = [
  ["pending", "待拨打"], ["queued", "排队中"], ["dialing", "呼叫中"], ["in_call", "通话中"], ["retry_wait", "待重拨"],
  ["stopping", "停止中"], ["completed", "已完成"], ["not_connected", "未接通"], ["failed", "失败"],
  ["stopped", "已停止"], ["expired", "已过期"], ["unknown", "结果未知"],
];
const CALL = {
  queued: "排队中", dialing: "呼叫中", ringing: "响铃中", answered: "通话中", unknown: "结果未知", unplaced: "未拨出",
  ended: "已结束", refused: "被拒绝", lost: "结果未知",
};
const STEPS = {
  ...CALL,
  created: "任务创建", hangupRequested: "要求挂断", stopRequested: "要求停止", completed: "任务已完成",
  not_connected: "任务未接通", failed: "任务失败", stopped: "任务已停止", expired: "任务已过期",
  pending: "任务待拨打", retry_wait: "任务待重拨", in_call: "任务通话中", stopping: "任务停止中",
  submit: "提交", stop: "停止", redial: "人工再拨", listen: "收听录音",
  mediaEnded: "通话流结束", cdr: "收到话单", closed: "记录完成", firstStart: "firstStart 事件",
  firstAnswer: "firstAnswer 事件",
};

const HELD = {
  window: "不在可拨打的时段", frequency: "此号码已达拨打次数上限", paused: "已暂停", do_not_call: "号码在免打扰名单上",
};
const REDIALABLE = ["failed", "unknown", "not_connected", "expired"];

const at = (id) => document.getElementById(id);
const view = { tab: "tasks", page: 1, search: "", by: "batchId", status: "", callType: "02", chosen: null };
let drawn = "";
let reopen = null; // draws the details again, while what they show is not over
let declined = false; // the dialog for a key was closed without one: it is not shown again unasked
let offset = "+08:00"; // of the zone in which the service prints its times

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== "") element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

async function ask(path, body) {
  const headers = { Accept: "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers["X-API-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  let response, answer;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
    answer = await response.json();
  } catch {
    throw new Error("连接不上服务");
  }
  if (response.status === 401) {
    const problem = key ? "密钥未被接受" : "需要密钥";
    if (!declined) askForKey(problem);
    throw new Error(problem);
  }
  if (response.status === 403) throw new Error("密钥没有所需的权限");
  if (!response.ok) throw new Error(answer.msg || answer.detail || response.statusText);
  if (answer.rows === undefined && answer.code === 405) throw new Error(answer.msg);
  return answer;
}

function askForKey(problem) {
  if (at("key-dialog").open) return;
  at("key-problem").textContent = problem === "密钥未被接受" ? "密钥未被接受，请重新输入。" : "";
  at("key-dialog").returnValue = "";
  at("key-dialog").showModal();
}

const state = (text) => make("span", { class: `state ${LOOK[text] || ""}` }, text);
const moment = (iso) => (iso ? iso.slice(0, 19).replace("T", " ") : "");
const clock = (iso) => iso.slice(11, 23);
function printed(milliseconds) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(offset);
  const shift = (Number(hours) * 60 + Number(minutes)) * (sign === "-" ? -60_000 : 60_000);
  return moment(new Date(milliseconds + shift).toISOString());
}
const length = (seconds) => (seconds ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "");

const held = (row) => (row.heldBy ? make("small", {}, ` ${HELD[row.heldBy] || row.heldBy}`) : null);

// --- lists -----------------------------------------------------------------------------------------------------------

const LISTS = {
  tasks: {
    hint: "查找",
    empty: "还没有任务。用 createTasks 接口或 waihu submit 提交工单，它们就会出现在这里。",
    columns: ["任务", "状态", "客户", "号码", "类型", "工单编号", "创建时间"],
    fetch: () => {
      if (view.search && view.by === "batchId") {
        return ask("/api/aicall/calltask/list", { batchId: view.search, pageNum: view.page, pageSize: SIZE });
      }
      const query = new URLSearchParams({ pageNum: view.page, pageSize: SIZE, status: view.status });
      if (view.search) query.set(view.by, view.search);
      return ask(`/api/v1/tasks?${query}`);
    },
    id: (row) => String(row.batchId),
    cells: (row) => [
      make("td", { class: "number" }, String(row.batchId)), make("td", {}, state(row.status), held(row)),
      make("td", {}, row.username), make("td", { class: "number" }, row.phone), make("td", {}, row.ticketType),
      make("td", {}, row.ticketNo), make("td", { class: "number" }, printed(row.createtime)),
    ],
    open: (row) => openTask(row.batchId),
  },
  records: {
    hint: "号码",
    empty: "还没有通话记录。",
    columns: ["呼叫时间", "客户", "号码", "时长", "结果", "最后一句"],
    fetch: () => {
      const query = { callType: view.callType, pageNum: view.page, pageSize: SIZE };
      if (view.search) query.telephone = view.search;
      return ask("/api/aicall/records/list", query);
    },
    id: (row) => row.uuid,
    cells: (row) => [
      make("td", { class: "number" }, row.calloutTime), make("td", {}, row.username || ""),
      make("td", { class: "number" }, row.telephone), make("td", { class: "number" }, length(row.timeLen)),
      make("td", {}, outcome(row)), make("td", { class: "wide" }, row.dialogue.length ? row.dialogue.at(-1).content : ""),
    ],
    open: (row) => openCall(row.uuid),
  },
};

function outcome(row) {
  if (!row.hangupCause) return state(CALL[row.state] || row.state);
  const [cause] = row.hangupCause.split(":");
  const known = {
    NORMAL_CLEARING: ["已接通", "good"], NO_ANSWER: ["未接听", "warn"], NORMAL_TEMPORARY_FAILURE: ["被拒绝", "bad"],
    ORIGINATOR_CANCEL: ["已取消", "warn"], LOST: ["结果未知", "bad"],
  };
  const [text, look] = known[cause] || [cause, ""];
  return make("span", { class: `state ${look}`, title: row.hangupCause }, text);
}

const asking = () => JSON.stringify([view.tab, view.page, view.search, view.by, view.status, view.callType]);

async function drawList() {
  const list = LISTS[view.tab];
  const asked = asking();
  let answer;
  try {
    answer = await list.fetch();
  } catch (error) {
    answer = { rows: [], total: 0, problem: error.message };
  }
  if (asked !== asking()) return;
  const fresh = asked + JSON.stringify(answer) + view.chosen;
  if (fresh === drawn) return;
  drawn = fresh;
  at("head").replaceChildren(make("tr", {}, ...list.columns.map((name) => make("th", { scope: "col" }, name))));
  at("rows").replaceChildren(...answer.rows.map((row) => {
    const open = () => { list.open(row); };
    const attributes = { tabindex: "0", onclick: open, onkeydown: (event) => { if (event.key === "Enter") open(); } };
    if (list.id(row) === view.chosen) attributes.class = "chosen";
    return make("tr", attributes, ...list.cells(row));
  }));
  at("empty").hidden = answer.rows.length > 0;
  at("empty").textContent = answer.problem || (view.search || (view.tab === "tasks" && view.status) ? "没有找到。" : list.empty);
  const last = Math.min(LAST_PAGE, Math.max(1, Math.ceil(answer.total / SIZE)));
  at("total").textContent = `共 ${answer.total}${answer.total > LAST_PAGE * SIZE ? `，可翻看最近 ${LAST_PAGE * SIZE} 条` : ""}`;
  at("page").textContent = `${view.page} / ${last}`;
  at("newer").disabled = view.page <= 1;
  at("older").disabled = view.page >= last;
}

async function drawStats() {
  try {
    const { tasks, at: now } = await ask("/api/v1/stats");
    offset = now.slice(-6);
    at("stats").replaceChildren(...STATES.filter(([name]) => tasks[name]).map(([name, text]) => {
      const chip = state(text);
      chip.append(` ${tasks[name]}`);
      return chip;
    }));
  } catch (error) {
    at("stats").replaceChildren(make("span", {}, error.message));
  }
}

// --- whether anybody is called ---------------------------------------------------------------------------------------

let paused = false; // all of it, by somebody's word

async function drawGate() {
  const lines = [];
  try {
    const { rows } = await ask("/api/v1/pauses");
    paused = rows.some((row) => row.ticketType === null);
    for (const row of rows) {
      const what = row.ticketType === null ? "已暂停全部外呼" : `已暂停“${row.ticketType}”`;
      lines.push(make("p", {}, `${what}${row.reason ? `：${row.reason}` : ""}（自 ${moment(row.since)}）`));
    }
    const gate = (await (await fetch("/readyz")).json()).dial_gate;
    if (!gate.open && !paused) lines.push(make("p", {}, "目前不会拨打任何人"), make("p", { class: "detail" }, gate.problem));
  } catch {
    return; // the figures beside say what is wrong
  }
  at("banner").hidden = lines.length === 0;
  at("banner").replaceChildren(...lines);
  at("pause").textContent = paused ? "恢复外呼" : "暂停外呼";
}

function pauseOrResume() {
  if (paused) decide("恢复外呼？", "等待中的任务会继续拨打。", false, () => ask("/api/v1/resume", {}));
  else decide("暂停全部外呼？", "不再拨打新的电话；进行中的通话不受影响。", true, (reason) => ask("/api/v1/pause", { reason }));
}

// --- details ---------------------------------------------------------------------------------------------------------

function show(title, badge, ...parts) {
  const close = make("button", { type: "button", class: "plain", "aria-label": "关闭", onclick: hide }, "✕");
  at("detail").replaceChildren(make("h2", {}, title, badge, close), ...parts.filter(Boolean));
  document.querySelector("main").classList.add("open");
}

function hide() {
  view.chosen = null;
  reopen = null;
  at("detail").replaceChildren();
  document.querySelector("main").classList.remove("open");
  drawList();
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", {}, ...known.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

async function openTask(batchId) {
  view.chosen = String(batchId);
  drawList();
  const task = await ask(`/api/v1/tasks/${batchId}`);
  reopen = task.finalAt ? null : () => openTask(batchId);
  const calls = task.calls.map((call) => make(
    "button", { type: "button", onclick: () => openCall(call.uuid) },
    make("time", {}, moment(call.createdAt)), outcome(call), length(call.timeLen),
  ));
  show(`任务 ${task.batchId}`, state(task.status),
    facts([
      ["客户", task.username], ["号码", task.phone], ["类型", task.ticketType], ["工单编号", task.ticketNo],
      ["内容", task.ticketContent], ["创建", moment(task.createdAt)], ["下次拨打", moment(task.dueAt)],
      ["等待原因", HELD[task.heldBy] || task.heldBy], ["结束", moment(task.finalAt)], ["已拨打", `${task.attempts} 次`],
    ]),
    taskActions(task),
    make("h3", {}, calls.length ? "每次拨打" : "尚未拨打"), make("div", { class: "calls" }, ...calls));
}

function taskActions(task) {
  const id = task.batchId;
  const button = (text, act) => make("button", { type: "button", onclick: act }, text);
  if (!task.finalAt) {
    const stop = () => ask("/api/aicall/stopTasks", { batchIds: [id] });
    return make("div", { class: "actions" }, button("停止", () => decide(
      `停止任务 ${id}？`, "之后不再拨打；正在进行的通话会被挂断。", false, stop,
    )));
  }
  if (!REDIALABLE.includes(task.state)) return null;
  const redial = (reason) => ask(`/api/v1/tasks/${id}/redial`, { reason });
  return make("div", { class: "actions" }, button("再拨一次", () => decide(
    `再次拨打任务 ${id}？`, "客户会再接到一通电话。", true, redial,
  )));
}

// Asks for a person's word, and for the reason if one is needed; what the service refuses is told in the dialog.
function decide(title, about, reasoned, act) {
  const dialog = at("act-dialog");
  const open = reopen || (view.tab === "tasks" && view.chosen ? () => openTask(view.chosen) : null);
  at("act-title").textContent = title;
  at("act-about").textContent = about;
  at("act-problem").textContent = "";
  Object.assign(at("act-reason"), { value: "", required: reasoned, hidden: !reasoned });
  at("act-form").onsubmit = async (event) => {
    event.preventDefault();
    at("act-ok").disabled = true;
    try {
      await act(at("act-reason").value.trim());
      dialog.close();
      await drawGate();
      refresh();
      open?.();
    } catch (error) {
      at("act-problem").textContent = error.message;
    } finally {
      at("act-ok").disabled = false;
    }
  };
  dialog.showModal();
}

async function openCall(uuid) {
  if (view.tab === "records") {
    view.chosen = uuid;
    drawList();
  }
  const call = await ask(`/api/v1/calls/${encodeURIComponent(uuid)}`);
  reopen = call.closedAt ? null : () => openCall(uuid);
  const parts = [facts([
    ["客户", call.username], ["号码", call.telephone], ["主叫", call.caller], ["呼叫", call.calloutTime],
    ["接通", call.answeredTime], ["结束", call.callEndTime], ["时长", length(call.timeLen)], ["原因", call.hangupCause],
    ["标签", (call.tags || []).map((tag) => [tag.name ?? tag, tag.value].filter(Boolean).join("：")).join("，")],
    ["电话系统标识", call.callId],
  ])];
  if (call.wavFileUrl) {
    // The link may name another host than the one this page came from; its query is what counts.
    const source = `/recordings/files${new URL(call.wavFileUrl, location.href).search}`;
    parts.push(make("h3", {}, "录音（左声道为客户，右声道为我方）"), make("audio", { controls: "controls", preload: "none", src: source }));
  }
  if (call.dialogue.length) {
    parts.push(make("h3", {}, "对话"), make("ul", { class: "talk" },
      ...call.dialogue.map((turn) => make("li", { class: turn.role }, turn.content))));
  }
  parts.push(make("h3", {}, "经过"), make("ul", { class: "steps" }, ...call.timeline.map((step) => make(
    "li", { class: step.source }, make("time", {}, clock(step.at)), STEPS[step.event] || step.event, step.actor ? `（${step.actor}）` : null,
  ))));
  if (call.batchId && view.tab === "tasks") {
    parts.push(make("h3"), make("button", { type: "button", onclick: () => openTask(call.batchId) }, "← 回到任务"));
  }
  show(call.uuid, outcome(call), ...parts);
}

// --- what people do --------------------------------------------------------------------------------------------------

function choose(tab) {
  Object.assign(view, { tab, page: 1, search: "" });
  at("tab-tasks").setAttribute("aria-selected", String(tab === "tasks"));
  at("tab-records").setAttribute("aria-selected", String(tab === "records"));
  at("call-type").hidden = tab !== "records";
  at("status").hidden = at("by").hidden = tab !== "tasks";
  at("search").value = "";
  at("search").placeholder = LISTS[tab].hint;
  hide();
}

function turn(step) {
  view.page += step;
  drawList();
}

at("tab-tasks").addEventListener("click", () => choose("tasks"));
at("tab-records").addEventListener("click", () => choose("records"));
at("newer").addEventListener("click", () => turn(-1));
at("older").addEventListener("click", () => turn(1));
at("filter").addEventListener("submit", (event) => event.preventDefault());
at("filter").addEventListener("input", () => {
  Object.assign(view, { page: 1, search: at("search").value.trim() });
  for (const [name, id] of [["by", "by"], ["status", "status"], ["callType", "call-type"]]) view[name] = at(id).value;
  drawList();
});
at("status").append(...STATES.map(([name, text]) => make("option", { value: name }, text)));
at("key").addEventListener("click", () => askForKey());
at("pause").addEventListener("click", pauseOrResume);
at("act-cancel").addEventListener("click", () => at("act-dialog").close());
at("key-cancel").addEventListener("click", () => at("key-dialog").close("cancel"));
at("key-dialog").addEventListener("close", () => {
  const given = at("key-value").value.trim();
  at("key-value").value = "";
  declined = at("key-dialog").returnValue !== "ok";
  if (declined) return;
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
  refresh();
  drawGate();
});

let refreshes = 0;

function refresh() {
  if (document.hidden || at("key-dialog").open || at("act-dialog").open) return;
  drawList();
  drawStats();
  if (++refreshes % GATE_EVERY === 0) drawGate();
  reopen?.();
}

await drawStats();
choose("tasks");
drawGate();
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
