"""What the tests of the page need: a chatd, a browser with several windows, and clients without a browser."""
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PATIENCE = 20  # seconds; no answer takes this long, however busy the machine is


def wait(what, condition, patience=PATIENCE):
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.02)
    return found


class Chatd:
    """The server, with its console."""

    def __init__(self, program, folder, lang="en", web_port=0):
        command = [program, "--bind", "127.0.0.1", "--port", "0", "--tls-port", "0", "--web-port", str(web_port),
                   "--console", "--lang", lang, "--data-dir", folder]
        # Standard error goes to a file: nobody reads it before something fails.
        self.log = open(f"{folder}.log", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.printed = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = self.prints(r"http://127\.0\.0\.1:(\d+)")[0] + "/"
        self.web_port = int(self.url.rstrip("/").rpartition(":")[2])
        self.plain = int(self.prints(r"(?:plain|明文) +127\.0\.0\.1 +\S+ +(\d+)")[1])
        self.tls = int(self.prints(r"TLS +127\.0\.0\.1 +\S+ +(\d+)")[1])

    def _read(self):
        for line in self.process.stdout:
            self.printed += line.decode()

    def prints(self, pattern):
        return wait(f"chatd prints {pattern}", lambda: re.search(pattern + r"\b", self.printed))

    def teacher(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE) == 0
        self.reader.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


class Client:
    """A client without a browser: JSON in lines over TCP or TLS."""

    def __init__(self, name, port, is_tls=False):
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
        self.lines = self.sock.makefile(encoding="utf-8", newline="\n")
        self.send("01", Name=name)
        self.expect(Command="11", Flag=1)

    def send(self, command, **keys):
        self.sock.sendall(json.dumps({"Command": command, **keys}).encode())

    def expect(self, **keys):
        """Read on to the first frame that has these."""
        while True:
            frame = json.loads(self.lines.readline() or "null")
            assert frame is not None, f"the end, before {keys}"
            if keys.items() <= frame.items():
                return frame

    def close(self):
        self.sock.close()
        self.lines.close()


class Browser:
    """One browser. Each page has a window of its own."""

    def __init__(self, lang="en-US"):
        options = webdriver.ChromeOptions()
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--lang={lang}",
                         "--window-size=1100,760", "--disable-background-networking", "--no-first-run"]:
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"intl.accept_languages": lang})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.binary_location = "/usr/bin/chromium"
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_script_timeout(PATIENCE)
        self.is_used = False
        self.errors, self.requests = [], []

    def page(self, url):
        if self.is_used:
            self.driver.switch_to.new_window("window")
        self.is_used = True
        return Page(self, self.driver.current_window_handle, url)

    def gather(self):
        """Take what the current window has logged."""
        self.errors += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])
            elif event["method"] == "Network.webSocketCreated":
                self.requests.append(event["params"]["url"])

    def quit(self):
        self.driver.quit()


class Page:
    """The page in one window."""

    def __init__(self, browser, window, url):
        self.browser, self.driver, self.window = browser, browser.driver, window
        self.resize(1100, 760)
        self.driver.get(url)

    def here(self):
        if self.driver.current_window_handle != self.window:
            self.browser.gather()
            self.driver.switch_to.window(self.window)
        return self.driver

    def resize(self, width, height):
        """Give the page this size; a window of this size would be smaller inside."""
        self.here().execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def media(self, **features):
        self.here().execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]})

    def run(self, script, *arguments):
        return self.here().execute_script(script, *arguments)

    def element(self, name):
        return self.here().find_element(By.ID, name)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).innerText", name)

    def shows(self, name, text, patience=PATIENCE):
        """Wait until a part of the page shows this text."""
        try:
            wait(text, lambda: text in self.text(name), patience)
        except AssertionError:
            raise AssertionError(f"{name} does not show {text!r}, but {self.text(name)[-2000:]!r}") from None

    def fill(self, name, text):
        self.element(name).send_keys(Keys.CONTROL + "a", Keys.BACKSPACE, Keys.NULL, text)

    def press(self, name):
        self.element(name).click()

    def log_in(self, name, password=""):
        self.fill("name", name)
        self.fill("password", password)
        self.element("password").send_keys(Keys.ENTER)

    def enter(self, name, password=""):
        self.log_in(name, password)
        self.shows("state", name)
        wait("the page to write on", self.element("text").is_displayed)

    def say(self, text):
        self.element("text").send_keys(text + Keys.ENTER)

    def open(self, name):
        """Open a conversation by its button."""
        script = """const all = document.querySelectorAll("#places button, #people button");
            return [...all].find(each => each.firstChild.textContent === arguments[0])"""
        wait(f"a button for {name}", lambda: self.run(script, name)).click()
        self.shows("with", name)

    def send_by_hand(self, frame):
        if not self.element("wire").is_displayed():
            self.press("wireButton")
        self.run("document.getElementById('frame').value = arguments[0]", frame)
        self.run("document.getElementById('hand').requestSubmit()")

    def is_at_end(self, name):
        return self.run("""const box = document.getElementById(arguments[0]);
            return box.scrollHeight - box.scrollTop - box.clientHeight < 2""", name)

    def has_no_sideways_scrolling(self):
        wide = self.run("""return [...document.querySelectorAll("body, body *")].filter(each =>
            each.getBoundingClientRect().right > innerWidth + 0.5).map(each => each.outerHTML.slice(0, 200))""")
        assert not wide and self.run("return document.documentElement.scrollWidth <= innerWidth"), wide
