// A terminal client for the classroom chat server, in JavaScript for Node.js 14 or newer, without any package.
//   node client.mjs [HOST] NAME [PASSWORD] [--port PORT]
//
// Both sides send JSON objects in UTF-8 over TCP; Command says what one means:
//   01 logs in; 11 answers with who is online. 30 (came) and 31 (left) keep that list exact.
//   02 registers a name; 12 answers. 03 logs out, and the server hangs up.
//   04 tells one person, who gets 13; you get a receipt: 14 with Flag 1 (sent) or 0 (not).
//   05 tells the room: all get 32, you too. 10 is a notice; a 14 without Flag, a heartbeat.
import net from 'node:net';

const SILENCE = 45; // seconds, three heartbeats: a server that is silent for so long has vanished
const HELP = 'TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit';

/** Finds the messages in a stream of bytes: one piece may bring half of a message, or three of them. */
class FrameReader {
  parts = []; // of a message that is not whole yet. They stay bytes, since half a character is no text
  depth = 0;
  inString = false;
  escaped = false;

  /** Takes a piece; yields the messages that are whole with it. */
  *feed(piece) {
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const char = String.fromCharCode(piece[at]); // of a Chinese one a part, which is none of those below
      if (this.depth === 0 && char > ' ' && char !== '{') throw new Error('this is no chat server');
      if (char === '"' && !this.escaped) this.inString = !this.inString;
      this.escaped = this.inString && char === '\\' && !this.escaped;
      if (this.inString || (char !== '{' && char !== '}')) continue;
      this.depth += char === '{' ? 1 : -1;
      // chatd also sends a newline after each message. Others may not, but all close the first brace.
      if (this.depth === 0) {
        yield JSON.parse(Buffer.concat([...this.parts, piece.subarray(start, at + 1)]).toString('utf8'));
        this.parts = [];
        start = at + 1;
      }
    }
    this.parts.push(piece.subarray(start));
  }
}

const words = process.argv.slice(2);
const option = words.indexOf('--port');
const port = option < 0 ? 4004 : Number(words.splice(option, 2)[1]);
if (words.length === 1) words.unshift('127.0.0.1');
const [host, name, password = ''] = words; // without a password: a guest
if (!name || name.startsWith('-') || words.length > 3 || !(port > 0 && port < 65536)) {
  console.error(`usage: node client.mjs [HOST] NAME [PASSWORD] [--port PORT]\nThen type: ${HELP}`);
  process.exit(2);
}

const online = new Map(); // name: whether it is a guest
const reader = new FrameReader();
let loggedIn = false;
let leaving = false;
let typed = ''; // a line that is not whole yet

const socket = net.connect(port, host, () => send('01', {Name: name, Password: password}));
const patience = setTimeout(() => end(`nothing came for ${SILENCE} seconds`), SILENCE * 1000);
socket.on('error', (error) => end(error.message));
socket.on('close', () => end('the server has closed it'));
socket.on('data', (piece) => {
  patience.refresh();
  try {
    for (const message of reader.feed(piece)) show(message);
  } catch (error) {
    end(error.message);
  }
});

function show(message) {
  const text = (key) => (['string', 'number'].includes(typeof message[key]) ? String(message[key]) : '?');
  const friend = text('FriendName');
  const isGood = isYes(message.Flag);
  switch (text('Command' in message ? 'Command' : 'Comment')) {
    case '10': return say(`* the server says: ${text('Message')}`);
    case '11':
      if (!isGood) return end(text('Message'), '* login refused');
      for (const [friend, isGuest] of message.Friends ?? []) online.set(String(friend), isYes(isGuest));
      who();
      if (!loggedIn) listen();
      loggedIn = true;
      return;
    case '12': return say(isGood ? '* registered' : `* not registered: ${text('Message')}`);
    case '13': return say(`[${friend} to you] ${text('Message')}`);
    case '14':
      if (!('Flag' in message)) return; // a heartbeat, no receipt
      return say(isGood ? `* sent to ${friend}` : `* NOT sent to ${friend}: ${text('Message')}`);
    case '30':
      online.set(text('LogOnUserName'), isYes(message.IsUserGuest));
      return say(`* ${text('LogOnUserName')} is here`);
    case '31':
      online.delete(text('LogOutUserName'));
      return say(`* ${text('LogOutUserName')} has left`);
    case '32': return say(`${text('Speaker')}: ${text('Message')}`);
  }
}

const isYes = (value) => value === 1 || value === true;

function who() {
  const names = [...online.keys()].sort().map((name) => name + (online.get(name) ? ' (guest)' : ''));
  say(`* online: ${names.join(', ')}`);
}

function say(line) { // what would steer the terminal or reorder the line is escaped
  const unsafe = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
  console.log(line.replace(unsafe, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`));
}

function send(command, keys) {
  socket.write(`${JSON.stringify({Command: command, ...keys})}\n`); // Node waits where it can't send at once
}

function listen() { // to the keyboard. Its text, too, comes in pieces
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (piece) => {
    const lines = (typed + piece).split('\n');
    typed = lines.pop();
    lines.forEach((line) => obey(line.replace(/\r$/, '')));
  });
  process.stdin.on('end', () => [typed, '/quit'].forEach(obey));
}

function obey(line) {
  const [word, name, ...rest] = line.replace(/^@/, '/msg ').split(' ');
  const text = rest.join(' '); // with all its blanks
  if (leaving) return;
  if (word === '/msg' && text) send('04', {FriendName: name, Message: text});
  else if (word === '/register' && text) send('02', {Name: name, Password: text});
  else if (word === '/who') who();
  else if (word === '/quit') {
    leaving = true;
    send('03');
    setTimeout(() => socket.destroy(), 6000).unref(); // if the server does not hang up
  } else if (word.startsWith('/')) say(HELP);
  else if (line) send('05', {Message: line}); // shown when it comes back, as 32
}

function end(reason, what = '* connection lost') {
  if (!leaving) {
    say(`${what}: ${reason}`);
    process.exitCode = 1;
  }
  leaving = true; // says it once
  clearTimeout(patience);
  socket.destroy();
  process.stdin.destroy();
}
