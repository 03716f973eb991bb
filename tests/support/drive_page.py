"""Drives a page in headless Chromium and prints what does not answer as it should: drive_page.py PAGE. The page's first
figure has a panel with logarithmic x, in it curves named a and b through (1, 1), (10, 10), (100, 5) and (1, 2), (100, 8).
With --shots FOLDER it takes pictures instead: wide, phone, dark and as printed. With --fits it prints what is wider than
a wide window, a phone and a sheet of A4, figures on the phone apart."""
import base64, json, os, pathlib, shutil, subprocess, sys, tempfile


class Browser:
    """Chromium's DevTools protocol over two pipes."""

    def __init__(self, profile):
        program = next(p for p in (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")) if p)
        to_child, self.write = os.pipe()
        self.read, from_child = os.pipe()

        def descriptors():
            os.dup2(to_child, 103), os.dup2(from_child, 104)
            os.dup2(103, 3), os.dup2(104, 4)
            os.set_inheritable(3, True), os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             "--disable-dev-shm-usage", f"--user-data-dir={profile}", "about:blank"],
            close_fds=False, preexec_fn=descriptors, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child), os.close(from_child)
        self.count, self.buffer, self.events, self.session = 0, b"", [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(domain + ".enable")

    def message(self):
        while b"\0" not in self.buffer:
            data = os.read(self.read, 1 << 20)
            if not data:
                raise SystemExit("the browser ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **parameters):
        self.count += 1
        call = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            call["sessionId"] = self.session
        os.write(self.write, json.dumps(call).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, page):
        self.events.clear()
        self.ask("Page.navigate", url=pathlib.Path(page).absolute().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message())

    def run(self, script):
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def mouse(self, x, y, click=False):
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click(self, selector):
        x, y = self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: "
                        "'center'}); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()")
        self.mouse(x, y, click=True)


def shots(browser, page, folder):
    for name, size, dark in (("wide", (1280, 900), False), ("phone", (390, 844), False), ("dark", (1280, 900), True)):
        browser.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
        browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        browser.open(page)
        picture = browser.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        pathlib.Path(folder, name + ".png").write_bytes(base64.b64decode(picture))
    browser.ask("Emulation.setEmulatedMedia", features=[])
    browser.open(page)
    pathlib.Path(folder, "print.pdf").write_bytes(base64.b64decode(browser.ask("Page.printToPDF")["data"]))


def misfits(browser, page):
    script = """[...document.querySelectorAll('body, main, .scroll, pre, p, dl, dd, h1, h2, figcaption')].filter((e) =>
        Math.max(e.scrollWidth, ...[...e.children].map((c) => c.offsetWidth || 0)) > e.clientWidth + 1 &&
        !e.querySelector('figure')).map((e) => e.localName + ' ' + e.textContent.trim().slice(0, 60))"""
    for name, width, media in (("window", 1280, "screen"), ("phone", 390, "screen"), ("paper", 717, "print")):
        browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser.ask("Emulation.setEmulatedMedia", media=media)
        browser.open(page)
        for element in browser.run(script):
            print(f"{name}: wider than its place: {element}")
        across = browser.run("document.documentElement.scrollWidth")
        if across > width:
            print(f"{name}: the page is {across} wide")


def complaints(browser, page):
    def expect(true, what):
        if not true:
            print(what)

    path = "[...document.querySelectorAll('.curves path[data-name=\"%s\"]')].map((p) => p.getAttribute('d'))"
    browser.open(page)
    bad = [e for e in browser.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]
    expect(not bad, f"the browser complains: {bad}")
    expect(browser.run("document.querySelectorAll('.curves').length") >= 1, "no figure answers")
    expect(browser.run("document.querySelectorAll('figure > img').length") == 0, "a picture stayed")

    # The pointer over (10, 10) of a: the middle of a logarithmic axis from 1 to 100, and the highest point.
    browser.click(".curves .name[aria-label='b']")
    expect(browser.run("document.querySelector('.name[aria-label=b]').getAttribute('aria-pressed')") == "false",
           "a click on a name does not press it")
    expect(browser.run(path % "a") and not browser.run(path % "b"), "a click on a name does not hide its curve alone")
    browser.click(".curves .name[aria-label='b']")
    expect(len(browser.run(path % "b")) == 1, "a second click does not show the curve again")
    points = [[float(v) for v in p.split(",")] for p in browser.run(path % "a")[0].replace("L", "M").split("M")[1:]]
    expect(abs(points[1][0] - (points[0][0] + points[2][0]) / 2) < 0.1, f"x is not logarithmic: {points}")
    x, y = browser.run("(() => { const s = document.querySelector('.curves'); const p = new DOMPoint(%f, %f)"
                       ".matrixTransform(s.getScreenCTM()); return [p.x, p.y] })()" % tuple(points[1]))
    browser.mouse(x + 2, y + 2)
    tip = browser.run("document.querySelector('.tip').getAttribute('visibility') + ' ' + document.querySelector('.tip').textContent")
    expect(tip.startswith("visible a") and tip.count("10") == 2, f"the pointer at a's (10, 10) shows: {tip}")
    browser.mouse(1, 1)
    expect(browser.run("document.querySelector('.tip').getAttribute('visibility')") == "hidden", "the values stay")

    browser.click(".axes input[name=x]")
    points = [[float(v) for v in p.split(",")] for p in browser.run(path % "a")[0].replace("L", "M").split("M")[1:]]
    share = (points[1][0] - points[0][0]) / (points[2][0] - points[0][0])
    expect(abs(share - 9 / 99) < 0.01, f"x is not linear after the switch: {points}")
    browser.click(".axes input[name=y]")
    points = [[float(v) for v in p.split(",")] for p in browser.run(path % "a")[0].replace("L", "M").split("M")[1:]]
    share = (points[2][1] - points[0][1]) / (points[1][1] - points[0][1])
    expect(abs(share - 0.69897) < 0.01, f"y is not logarithmic after the switch: {points}")

    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    shown = browser.run("[...document.querySelectorAll('figure > img')].every((i) => i.complete && i.naturalWidth > 100)")
    expect(shown and browser.run("document.querySelectorAll('.curves').length") == 0, "without script the picture is not there")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        if "--shots" in sys.argv:
            shots(browser, sys.argv[1], sys.argv[3])
        elif "--fits" in sys.argv:
            misfits(browser, sys.argv[1])
        else:
            complaints(browser, sys.argv[1])
    finally:
        browser.process.kill()
        browser.process.wait()
