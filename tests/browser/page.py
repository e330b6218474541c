#!/usr/bin/env python3
"""Tries the chat page in a real browser: page.py CHATD [FOLDER], where FOLDER is for screenshots.

Ends with status 77 if this machine lacks what it needs, and says what.
"""
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).parent
for program in ["/usr/bin/chromium", "/usr/bin/chromedriver"]:
    if not shutil.which(program):
        print(f"this test needs {program} (chromium, chromium-driver)")
        sys.exit(77)
try:
    import selenium  # noqa: F401
except ImportError:
    print("this test needs selenium for Python (python3-selenium)")
    sys.exit(77)

from classroom import PATIENCE, Browser, Chatd, Client, wait  # noqa: E402

# axe-core finds more than access.js; it is used where it is there.
AXE = next((path for path in [os.environ.get("CHATD_TEST_AXE", ""), "/usr/share/nodejs/axe-core/axe.min.js",
                              "/usr/share/javascript/axe-core/axe.min.js"] if os.path.isfile(path)), None)


def check_access(page):
    # Line by line, axe would take long for a room in which much has been said.
    page.run("for (const line of [...document.querySelectorAll('#lines > *')].slice(0, -30)) line.remove()")
    page.run("return new Promise(requestAnimationFrame)")
    problems = page.run((HERE / "access.js").read_text(encoding="utf-8"))
    if AXE:
        page.run(pathlib.Path(AXE).read_text(encoding="utf-8"))
        found = page.here().execute_async_script("axe.run().then(arguments[0])")
        problems += [f"{each['id']}: {each['nodes'][0]['html'][:150]}" for each in found["violations"]]
    assert not problems, problems


def the_lesson(room):
    """Three pages, a client over TCP and one over TLS are in one room."""
    server, browser = room.server, room.browser
    alice, brian, carla = (browser.page(server.url) for _ in range(3))
    assert alice.run("return performance.getEntriesByType('resource').length") == 0
    check_access(alice)
    alice.log_in("Al")
    alice.shows("why", "a name is 4 to 64 characters long")
    alice.enter("Alice")
    brian.fill("name", "Brian")
    brian.fill("password", "tiger7")
    brian.press("register")
    brian.shows("state", "Online as Brian")
    carla.log_in("brian", "wrong1")
    carla.shows("why", "in use")
    carla.enter("Carla")
    plain, tls = Client("Plain", server.plain), Client("Secret", server.tls, is_tls=True)
    alice.shows("count", "5")
    alice.shows("lines", "Here now: Brian, Carla, Plain, Secret")
    alice.say("大家好")
    for client in plain, tls:
        assert client.expect(Command="32")["Message"] == "大家好"
    brian.shows("lines", "大家好")
    server.teacher("say open your books")
    carla.shows("lines", "open your books")
    assert carla.run("return document.querySelector('.teacher .text').textContent") == "open your books"

    plain.send("04", FriendName="alice", Message="psst")
    alice.shows("places", "1 new")
    assert "psst" not in alice.text("lines")
    wait("the count in the title", lambda: alice.here().title == "(1) chatd")
    alice.open("Plain")
    alice.shows("lines", "psst")
    wait("no count in the title", lambda: alice.here().title == "chatd")
    alice.say("only for you")
    assert plain.expect(Command="13")["Message"] == "only for you"
    alice.shows("lines", "✓ sent")
    plain.close()
    alice.shows("places", "offline")
    alice.say("too late")
    alice.shows("lines", "✗ not sent: no user of this name is online")
    alice.open("Teacher")
    alice.say("a question")
    server.prints("Alice to you. a question")
    server.teacher("tell Alice an answer")
    alice.shows("lines", "an answer")
    alice.fill("search", "sec")
    wait("one is found", lambda: alice.text("people").split("\n")[0] == "Secret" and "Brian" not in alice.text("people"))
    alice.fill("search", "nobody")
    alice.shows("more", "Nobody")
    alice.fill("search", "")
    tls.close()
    room.alice, room.brian, room.carla = alice, brian, carla
    check_access(alice)


def what_the_teacher_does(room):
    server, alice, carla = room.server, room.alice, room.carla
    alice.open("Room")
    server.teacher("mute Carla")
    server.prints("(?i)muted")
    carla.say("can you hear me")
    carla.shows("noticeText", "muted")
    server.teacher("unmute Carla")
    server.teacher("lock")
    carla.press("logOut")
    wait("the login", carla.element("login").is_displayed)
    assert carla.text("why") == "" and carla.text("lines") == ""
    carla.log_in("Carla")
    carla.shows("why", "locked")
    server.teacher("unlock")
    carla.log_in("Carla")
    carla.shows("state", "Online as Carla")
    server.teacher("kick Carla too loud")
    carla.shows("why", "too loud")
    assert carla.element("login").is_displayed()
    carla.press("wireButton")
    carla.shows("frames", "code 1008")
    carla.enter("Carla")


def hostile_texts(room):
    server, alice = room.server, room.alice
    mallory = Client("Mallory", server.plain)
    for text in ["<img src=x onerror=alert(1)><script>alert(2)</script>", "\u202eturned\u2066 \0\x1b[2J bell\x07",
                 "שלום עולם", "Z" + "\u0301\u0300\u0302" * 80, "w" * 3000, "x" * 60000, "line\n" * 5000]:
        mallory.send("05", Message=text)
    mallory.send("05", Message="the last one")
    alice.shows("lines", "the last one")
    assert alice.run("return document.querySelectorAll('#lines img, #lines script').length") == 0
    alice.shows("lines", "<img src=x onerror=alert(1)>")
    alice.shows("lines", "⟨U+202E⟩turned⟨U+2066⟩ ⟨U+0000⟩⟨U+001B⟩[2J")
    shown = alice.run("""return [...document.querySelectorAll("#lines .text")].map(each => each.textContent.length)""")
    assert max(shown) < 1700, shown
    assert alice.run("return getComputedStyle(document.querySelector('#lines .text')).unicodeBidi") == "isolate"
    assert alice.is_at_end("lines")
    alice.has_no_sideways_scrolling()
    check_access(alice)
    alice.run("[...document.querySelectorAll('#lines button')].find(each => each.textContent.includes('60000')).click()")
    assert alice.run("return [...document.querySelectorAll('#lines .text')].some(each => each.textContent.length === 60000)")
    # Who reads further up is not thrown down; and what is kept is bounded.
    alice.run("document.getElementById('lines').scrollTop = 0")
    wait("a way to the newest line", alice.element("newest").is_displayed)
    # Each connection may say 200 things at once.
    many = [Client(f"Many{number}", server.plain) for number in range(3)]
    for client in many:
        for number in range(180):
            client.send("05", Message=f"number {number}")
        client.send("05", Message="that was all")
        client.expect(Command="32", Message="that was all")
    wait("all has come", lambda: alice.text("lines").count("that was all") == 3)
    assert alice.run("return document.querySelectorAll('#lines > *').length") <= 500
    alice.press("newest")
    wait("the button is gone", lambda: not alice.element("newest").is_displayed())
    for client in [mallory, *many]:
        client.close()


def frames_by_hand(room):
    brian = room.brian
    brian.send_by_hand('{"Command":"01","Name":"Brian","Password":"secret99"}')
    brian.shows("noticeText", "logged in already")
    brian.shows("frames", "•••")
    assert "secret99" not in brian.text("frames")
    brian.send_by_hand('{"command":"05"}')
    brian.shows("noticeText", "no Command")
    brian.send_by_hand('{"Command":4,"FriendName":"ALICE","Message":"by hand"}')
    brian.shows("frames", "Receipt: sent to ALICE")
    room.alice.open("Brian")
    room.alice.shows("lines", "by hand")
    room.alice.open("Room")
    brian.send_by_hand('{"Command":"02","Name":"x","Password":"secret98", "')
    brian.shows("why", "The connection has ended:")
    brian.shows("frames", "code 1002")
    assert "secret98" not in brian.run("return document.documentElement.outerHTML")
    # A connection that is opened by hand, from nothing.
    brian.send_by_hand('{"Command":"01","Name":"Brian","Password":"tiger7"}')
    brian.shows("state", "Online as Brian")


def reload_and_restart(room):
    server, alice, brian, carla = room.server, room.alice, room.brian, room.carla
    carla.here().refresh()
    wait("the name is still there", lambda: carla.element("name").get_attribute("value") == "Carla")
    carla.enter("Carla")
    alice.open("Room")
    alice.run("document.getElementById('text').value = 'half a sent'")
    server.stop()
    alice.shows("noticeText", "the server stops")
    alice.say("ence")
    alice.shows("noticeText", "Not connected")
    room.server = server = Chatd(room.program, room.folder, web_port=server.web_port)
    for page, name in (alice, "Alice"), (brian, "Brian"), (carla, "Carla"):
        page.shows("state", f"Online as {name}")
    alice.shows("count", "3")
    alice.shows("lines", "The connection was lost.")
    assert alice.run("return document.getElementById('text').value") == "half a sentence"
    # Somebody took the name meanwhile: the page tries for half a minute, and says so.
    carla.press("logOut")
    wait("the login", carla.element("login").is_displayed)
    carla.enter("Carla")
    carla.run("socket.close()")
    carla.shows("state", "Online as Carla")
    room.browser.gather()
    # While there was no server, the browser said so; that is no fault of the page.
    room.browser.errors = [error for error in room.browser.errors if "WebSocket connection to" not in error]


def a_silent_server(room):
    """A server that does not answer any more, and closes nothing, is taken for lost."""
    alice = room.alice
    alice.run("const now = Date.now; window.ahead = 0; Date.now = () => now() + window.ahead")

    def is_lost():
        is_shown = "fallen silent" in alice.text("lostWhy")
        if not is_shown:
            # What comes in meanwhile is heard at the later time, so the clock is put forward each time.
            alice.run("window.ahead += patience + 1000")
        return is_shown

    wait("the loss", is_lost, 30)
    alice.shows("state", "Online as Alice")


def two_hundred(room):
    alice = room.alice
    pupils = [Client(f"Pupil{number:03}", room.server.plain) for number in range(200)]
    alice.shows("count", "203")
    wait("all are listed", lambda: alice.run("return document.querySelectorAll('#people li').length") == 203)
    alice.fill("search", "l19")
    wait("ten are found", lambda: alice.run("return document.querySelectorAll('#people li').length") == 10)
    alice.fill("search", "")
    assert alice.run("return document.querySelectorAll('#lines > *').length") <= 500
    room.pupils = pupils


def telephone(room):
    alice = room.alice
    alice.resize(320, 568)
    alice.has_no_sideways_scrolling()
    alice.press("peopleButton")
    wait("the list", alice.element("people").is_displayed)
    alice.has_no_sideways_scrolling()
    check_access(alice)
    alice.open("Pupil007")
    assert not alice.element("people").is_displayed()
    alice.say("from a telephone")
    room.pupils[7].expect(Command="13", FriendName="Alice")
    alice.shows("lines", "✓ sent")
    alice.resize(1100, 760)
    alice.press("wireButton")
    alice.resize(320, 568)
    alice.has_no_sideways_scrolling()
    # The newest line stays in sight when the lines are laid out anew.
    wait("the newest frame", lambda: alice.is_at_end("frames"))
    alice.press("wireButton")
    wait("the newest line", lambda: alice.is_at_end("lines"))
    alice.resize(1100, 760)
    wait("the newest line", lambda: alice.is_at_end("lines"))


def languages_and_looks(room):
    alice = room.alice
    for pupil in room.pupils:
        pupil.close()
    wait("they have gone", lambda: alice.text("count") == "Online: 3")
    alice.press("languageButton")
    alice.shows("state", "在线")
    assert alice.run("return document.documentElement.lang") == "zh-CN"
    alice.open("聊天室")
    check_access(alice)
    alice.media(prefers_color_scheme="dark")
    check_access(alice)
    alice.press("languageButton")
    alice.shows("state", "Online as Alice")
    alice.media(prefers_color_scheme="light")
    alice.press("largeButton")
    check_access(alice)
    assert not alice.element("side").is_displayed()
    alice.press("largeButton")
    missing = alice.run("return Object.entries(WORDS).filter(([, both]) => both.length !== 2 || both.includes('')).join()")
    assert not missing, missing


TESTS = [the_lesson, what_the_teacher_does, hostile_texts, frames_by_hand, reload_and_restart, a_silent_server, two_hundred,
         telephone, languages_and_looks]


class Room:
    """What the tests share: they are the parts of one lesson, since a browser takes long to start."""


def main():
    room, begun = Room(), time.monotonic()
    room.program = sys.argv[1]
    if not AXE:
        print("axe-core is not here: roles and contrast are checked by access.js alone")
    with tempfile.TemporaryDirectory() as folder:
        room.folder = os.path.join(folder, "data")
        room.server, room.browser = Chatd(room.program, room.folder), Browser()
        try:
            for test in TESTS:
                start = time.monotonic()
                test(room)
                print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
            room.browser.gather()
            assert not room.browser.errors, room.browser.errors
            own = (room.server.url, room.server.url.replace("http", "ws"), "data:", "about:")
            strange = [url for url in room.browser.requests if not url.startswith(own)]
            assert room.browser.requests and not strange, strange
        except BaseException:
            traceback.print_exc()
            room.browser.gather()
            print("in the browser:", *room.browser.errors, sep="\n", file=sys.stderr)
            print("chatd:", pathlib.Path(f"{room.folder}.log").read_text(encoding="utf-8")[-3000:], file=sys.stderr)
            sys.exit(1)
        finally:
            room.browser.quit()
            room.server.stop()
    print(f"all: {time.monotonic() - begun:.1f} s")


main()
