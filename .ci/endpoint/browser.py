"""Drives Chromium over the live page: browser.py BASE_URL OUTPUT_DIRECTORY

BASE_URL is a running endpoint whose numbers move and that has at least one connection with an open handle. Screenshots
go to OUTPUT_DIRECTORY. Needs chromium and chromedriver, and nothing but Python's standard library.

What must be absent (a still figure, a foreign request, an error, a horizontal scroll) is looked for twice: in the page,
and in a frozen copy of it that has them, where each check has to fail.
"""

import base64
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMEDRIVER = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1440,900",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Space": " "}
WAIT_S = 20
STILL_S = 4
HISTORY_S = 30  # for the charts of the screenshots
TABS_MAX = 80


class Failed(Exception):
    """A check that did not hold."""


def eventually(what, probe, seconds=WAIT_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise Failed(f"{what}: not within {seconds} s")


def require(condition, what):
    if not condition:
        raise Failed(what)


class Browser:
    """One Chromium with a profile of its own, spoken to in WebDriver's own words."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        port = free_port()
        self.driver = subprocess.Popen([CHROMEDRIVER, f"--port={port}"], stdout=subprocess.DEVNULL)
        self.address = f"http://127.0.0.1:{port}"
        self.session = None
        try:
            eventually("chromedriver answers", self.is_ready)
            self.session = self.start_session()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.session:
            self.send("DELETE", "")
        self.driver.terminate()
        self.driver.wait()
        self.profile.cleanup()

    def is_ready(self):
        try:
            return call("GET", f"{self.address}/status")["ready"]
        except OSError:
            return False

    def start_session(self):
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={self.profile.name}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        body = {"capabilities": {"alwaysMatch": wanted}}
        return call("POST", f"{self.address}/session", body)["sessionId"]

    def send(self, method, path, body=None):
        return call(method, f"{self.address}/session/{self.session}{path}", body)

    def open(self, url):
        self.send("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, key):
        actions = [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        self.send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def develop(self, command, **parameters):
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self, kind):
        return self.send("POST", "/se/log", {"type": kind})

    def resize(self, width, height, is_phone=False):
        self.develop(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )

    def screenshot(self, path):
        answer = self.develop("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        print(f"saved {path}")


def call(method, url, body=None):
    data = json.dumps(body or {}).encode() if method == "POST" else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise Failed(f"{method} {url}: {error.read().decode()[:500]}") from error


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Frozen:
    """A copy of the page, without its content security policy, whose numbers stand still."""

    def __init__(self, base):
        self.page = fetch(base)
        self.report = json.loads(fetch(urllib.parse.urljoin(base, "memory.json")))
        self.is_down = False
        self.asked = set()
        frozen = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                frozen.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        self.asked.add(request.path)
        is_report = request.path.endswith("memory.json")
        body = json.dumps(self.report).encode() if is_report else self.page
        request.send_response(503 if self.is_down and is_report else 200)
        request.send_header("Content-Type", "application/json" if is_report else "text/html; charset=utf-8")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def reverse_ages(self):
        for index, connection in enumerate(self.report["connections"]):
            connection["age_ms"] = index * 1000

    def begin_anew(self):
        """What the page sees after a restart of the service: counters that went back."""
        self.report["native"]["allocs"] = 1
        self.report["native"]["hist_log2"] = [0] * 5 + [1] + [0] * 26


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


# The figures; ages and times are none, they would move by themselves.
FIGURES = "return Object.fromEntries([...document.querySelectorAll('data')].map(it => [it.id, it.value]))"
TEXT = "return document.body.innerText"
STATE = "return document.body.dataset.state"
IS_ON_A_CONNECTION = "return 'connection' in document.activeElement.dataset"
ORDER = "return [...document.querySelectorAll('[data-connection]')].map(it => it.dataset.connection)"
FOCUSED = "return document.activeElement.dataset.connection ?? null"
EXPANDED = """
const button = document.querySelector(`[data-connection="${arguments[0]}"]`);
const rows = document.querySelectorAll(`#children-${arguments[0]} tbody tr`);
return button.getAttribute("aria-expanded") === "true" && rows.length > 0 && rows[0].checkVisibility();
"""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def shows(browser, state):
    eventually(f"the page is {state}", lambda: browser.run(STATE) == state)


def numbers_move(browser):
    shows(browser, "live")
    before = browser.run(FIGURES)
    require(before["figure-executions"] != "", "the figures are empty")
    eventually("the numbers move", lambda: browser.run(FIGURES) != before, STILL_S * 2)


def pausing_stops(browser):
    tab_to(browser, "return document.activeElement.id === 'pause'")
    browser.press("Enter")
    shows(browser, "paused")
    stands_still(browser)
    browser.press("Enter")
    numbers_move(browser)
    must_fail("numbers that move", stands_still, browser)


def stands_still(browser):
    before = browser.run(TEXT)
    time.sleep(STILL_S)
    require(browser.run(TEXT) == before, "the page changes")


def focus_survives_another_order(browser, frozen):
    tab_to(browser, IS_ON_A_CONNECTION)
    connection, before = browser.run(FOCUSED), browser.run(ORDER)
    frozen.reverse_ages()
    eventually("the order turns over", lambda: browser.run(ORDER) == before[::-1])
    require(browser.run(FOCUSED) == connection, "the focus is lost when rows change places")


def tab_to(browser, is_there):
    browser.run("document.activeElement.blur(); getSelection().collapse(document.body, 0)")
    for _ in range(TABS_MAX):
        browser.press("Tab")
        if browser.run(is_there):
            return
    raise Failed(f"{TABS_MAX} tabs do not lead to: {is_there}")


def expands_by_keyboard(browser):
    tab_to(browser, IS_ON_A_CONNECTION)
    connection = browser.run(FOCUSED)
    browser.press("Enter")
    require(browser.run(EXPANDED, connection), f"connection {connection} does not show its handles")
    numbers_move(browser)
    numbers_move(browser)
    require(browser.run(EXPANDED, connection), "the expansion is lost at a refresh")
    require(browser.run(FOCUSED) == connection, "the focus is lost at a refresh")
    browser.press("Space")
    require(not browser.run(EXPANDED, connection), "it does not fold again")
    browser.press("Space")


def requests_stay(browser, origin):
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    urls = [it["params"]["request"]["url"] for it in messages if it["method"] == "Network.requestWillBeSent"]
    strangers = [url for url in urls if not url.startswith((f"{origin}/", "data:"))]
    require(urls, "no request was logged")
    require(not strangers, f"requests left the origin: {strangers[:3]}")


def console_is_clean(browser):
    errors = [entry["message"] for entry in browser.log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    require(not errors, f"the console has errors: {errors[:3]}")


def fits_a_phone(browser):
    browser.resize(360, 780, is_phone=True)
    require(browser.run("return innerWidth") == 360, f"the page is {browser.run('return innerWidth')} px wide, not 360")
    require(browser.run(OVERFLOW) <= 0, f"{browser.run(OVERFLOW)} px scroll sideways")


def must_fail(what, check, *arguments):
    try:
        check(*arguments)
    except Failed as failure:
        print(f"ok   control, {what}: {failure}")
        return
    raise Failed(f"control: the check does not see {what}")


def checked(what, check, *arguments):
    check(*arguments)
    print(f"ok   {what}")


def choose(browser, name, value):
    browser.run("document.querySelector(`input[name='${arguments[0]}'][value='${arguments[1]}']`).click()", name, value)


def begins_before_the_page(browser, url):
    browser.open(url)
    shows(browser, "live")
    seconds = browser.run("return (state.history.at(-1).at - state.history[0].at) / 1000")
    require(seconds > STILL_S, f"the charts begin {seconds:.0f} s before the page was opened")
    require(browser.run("return state.history.at(-2).executions > 0"), "the history has no rates")


def take_screenshots(browser, base, output):
    browser.open(base)
    shows(browser, "live")
    choose(browser, "window", "1")
    browser.run("document.querySelector('[data-connection]').click()")
    time.sleep(HISTORY_S)
    for theme in ("light", "dark"):
        choose(browser, "theme", theme)
        browser.resize(1440, 900)
        time.sleep(1)
        browser.screenshot(output / f"{theme}.png")
    for theme in ("light", "dark"):
        choose(browser, "theme", theme)
        browser.resize(360, 780, is_phone=True)
        time.sleep(1)
        browser.screenshot(output / f"phone-{theme}.png")


def check_page(browser, base, output):
    origin = urllib.parse.urljoin(base, "/").rstrip("/")
    browser.open("about:blank")
    browser.log("performance")  # of Chromium's own first page
    browser.open(base)
    browser.resize(1440, 900)
    checked("the numbers move", numbers_move, browser)
    checked("a connection expands by keyboard and stays so", expands_by_keyboard, browser)
    checked("pausing stops the numbers", pausing_stops, browser)
    checked("the charts begin before the page was opened", begins_before_the_page, browser, base)
    checked("360 px need no horizontal scroll", fits_a_phone, browser)
    take_screenshots(browser, base, output)
    checked("no request left the origin", requests_stay, browser, origin)
    checked("the console has no error", console_is_clean, browser)


def check_copy(browser, frozen):
    browser.open(f"{frozen.origin}/nested/below")
    shows(browser, "live")
    require("/nested/below/memory.json" in frozen.asked, f"asked beside the page: {sorted(frozen.asked)}")
    print("ok   served below a prefix, without its slash")
    must_fail("still numbers", numbers_move, browser)
    must_fail("no history", begins_before_the_page, browser, f"{frozen.origin}/nested/below")
    checked("the focus survives another order of rows", focus_survives_another_order, browser, frozen)
    browser.log("browser")
    frozen.is_down = True
    shows(browser, "unreachable")
    require("Unreachable since" in browser.run(TEXT), "it does not say since when")
    frozen.begin_anew()
    frozen.is_down = False
    shows(browser, "live")
    eventually("the restart is told", lambda: "began anew" in browser.run(TEXT))
    print("ok   unreachable, and live again after a restart")


def check_controls(browser, frozen):
    browser.log("performance"), browser.log("browser")
    other = frozen.origin.replace("127.0.0.1", "localhost")
    browser.run("fetch(arguments[0], { mode: 'no-cors' }); console.error('provoked')", f"{other}/elsewhere")
    eventually("the request arrives", lambda: "/elsewhere" in frozen.asked)
    must_fail("a foreign request", requests_stay, browser, frozen.origin)
    must_fail("an error in the console", console_is_clean, browser)
    browser.run("document.getElementById('versions').style.paddingLeft = '400px'")
    must_fail("a wide element", fits_a_phone, browser)


def main():
    base, output = sys.argv[1].rstrip("/") + "/", Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    with Browser() as browser, Frozen(base) as frozen:
        check_page(browser, base, output)
        check_copy(browser, frozen)
        check_controls(browser, frozen)
    print("ok   all of it")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main()
    except Failed as failure:
        sys.exit(f"FAIL {failure}")
