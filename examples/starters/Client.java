// A terminal client for the classroom chat server, in Java 8 or newer, with the standard library alone.
// Compile it:  javac Client.java      Start it:  java Client [HOST] NAME [PASSWORD] [--port PORT]
import java.io.*;
import java.net.*;
import java.util.*;

public class Client {
    static final int SILENCE = 45; // seconds, three heartbeats: a server that is silent for so long has vanished
    static final String HELP = "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit";
    static final String TERMINAL = System.getProperty("terminal", "UTF-8"); // on a Chinese Windows: java -Dterminal=GBK
    static final Map<String, String> online = new java.util.concurrent.ConcurrentSkipListMap<>(); // for both threads
    static final Socket socket = new Socket();
    static volatile boolean loggedIn, leaving;

    public static void main(String[] arguments) throws Exception {
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, TERMINAL));
        List<String> words = new ArrayList<>(Arrays.asList(arguments));
        int option = words.indexOf("--port");
        String port = option < 0 ? "4004" : option + 1 < words.size() ? words.remove(option + 1) : "";
        words.remove("--port");
        if (words.size() == 1) words.add(0, "127.0.0.1");
        if (words.size() == 2) words.add(""); // no password: a guest
        if (words.size() != 3 || words.get(1).startsWith("-") || !port.matches("[0-9]{1,5}"))
            stop(2, "usage: java Client [HOST] NAME [PASSWORD] [--port PORT]; then type " + HELP);
        new Thread(() -> receive(words.get(0), Integer.parseInt(port), words.get(1), words.get(2))).start();
        while (!loggedIn) Thread.sleep(20); // then this thread waits for the keyboard, the other for the server
        BufferedReader keyboard = new BufferedReader(new InputStreamReader(System.in, TERMINAL));
        for (String line; (line = keyboard.readLine()) != null && !line.equals("/quit"); ) obey(line);
        leaving = true;
        send("{'Command':'03'}");
        Thread.sleep(6000); // The server hangs up sooner, when all that it has for us is sent.
        System.exit(0);
    }

    static void obey(String line) {
        String[] words = line.replaceFirst("^@", "/msg ").split(" ", 3); // further blanks belong to the text
        String word = words[0], name = words.length < 3 ? "" : words[1], text = words.length < 3 ? "" : words[2];
        if (word.equals("/msg") && !text.isEmpty()) send("{'Command':'04','FriendName':%s,'Message':%s}", name, text);
        else if (word.equals("/register")) send("{'Command':'02','Name':%s,'Password':%s}", name, text);
        else if (word.equals("/who")) say("* online: " + String.join(", ", online.values()));
        else if (word.startsWith("/")) say(HELP);
        else if (!line.isEmpty()) send("{'Command':'05','Message':%s}", line); // shown when it comes back, as 32
    }

    static void send(String format, String... texts) {
        Object[] quoted = Arrays.stream(texts).map(t -> '"' + safe(t.replaceAll("[\"\\\\]", "\\\\$0")) + '"').toArray();
        try { // a message in one piece, and in UTF-8
            socket.getOutputStream().write((String.format(format.replace('\'', '"'), quoted) + "\n").getBytes("UTF-8"));
        } catch (IOException error) { } // the connection is lost, and receive() says so
    }

    static void receive(String host, int port, String name, String password) {
        try {
            socket.connect(new InetSocketAddress(host, port), SILENCE * 1000);
            socket.setSoTimeout(SILENCE * 1000);
            InputStream in = new BufferedInputStream(socket.getInputStream());
            send("{'Command':'01','Name':%s,'Password':%s}", name, password);
            while (true) show((Map<?, ?>) new Json(nextFrame(in)).value());
        } catch (IOException | RuntimeException | StackOverflowError error) {
            Object reason = error instanceof SocketTimeoutException ? "nothing for " + SILENCE + " seconds" : error;
            stop(leaving ? 0 : 1, leaving ? "* logged out" : "* no connection: " + reason);
        }
    }

    /** The next message: read() may bring half of one, or three. It ends where the brace that began it is closed. */
    static String nextFrame(InputStream in) throws IOException {
        ByteArrayOutputStream frame = new ByteArrayOutputStream(); // bytes, since half a character is no text
        boolean inString = false, escaped = false;
        for (int b, depth = 0; (b = in.read()) >= 0; ) {
            if (depth == 0 && b <= ' ') continue; // a newline after each message: chatd sends it, others may not
            if (depth == 0 && b != '{' || frame.size() > 16 << 20) throw new IOException("this is no chat server");
            frame.write(b);
            if (b == '"' && !escaped) inString = !inString;
            escaped = inString && b == '\\' && !escaped;
            if (!inString) depth += b == '{' ? 1 : b == '}' ? -1 : 0;
            if (depth == 0) return frame.toString("UTF-8");
        }
        throw new EOFException("the server has closed it");
    }

    static void show(Map<?, ?> message) {
        String text = text(message, "Message"), friend = text(message, "FriendName");
        String came = text(message, "LogOnUserName"), left = text(message, "LogOutUserName");
        boolean hasFlag = message.containsKey("Flag"), isGood = isYes(message.get("Flag"));
        switch (text(message, message.containsKey("Command") ? "Command" : "Comment")) { // a receipt may have the other
            case "10": say("* the server says: " + text); break;
            case "11":
                if (!isGood) stop(1, "* login refused: " + text);
                for (Object pair : list(message.get("Friends"))) enter(list(pair));
                obey("/who");
                loggedIn = true;
                break;
            case "12": say(isGood ? "* registered" : "* not registered: " + text); break;
            case "13": say("[" + friend + " to you] " + text); break;
            case "14": // without a Flag it is a heartbeat
                if (hasFlag) say(isGood ? "* sent to " + friend : "* NOT sent to " + friend + ": " + text);
                break;
            case "30": enter(Arrays.asList(came, message.get("IsUserGuest"))); say("* " + came + " is here"); break;
            case "31": online.remove(left); say("* " + left + " has left"); break;
            case "32": say(text(message, "Speaker") + ": " + text);
        }
    }

    static void enter(List<?> pair) { // a name, and whether it is a guest's
        if (pair.size() == 2) online.put(pair.get(0) + "", pair.get(0) + (isYes(pair.get(1)) ? " (guest)" : ""));
    }
    static boolean isYes(Object value) { return "1".equals(value) || "true".equals(value); }
    static String text(Map<?, ?> message, String key) { return message.containsKey(key) ? message.get(key) + "" : "?"; }
    static List<?> list(Object value) { return value instanceof List ? (List<?>) value : Collections.emptyList(); }
    static void say(String line) { System.out.println(safe(line)); }
    static void stop(int status, String reason) { say(reason); System.exit(status); }
    static String safe(String text) { // escapes what would steer the terminal or reorder the line
        String unsafe = "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]";
        return text.chars().mapToObj(c -> String.format(((char) c + "").matches(unsafe) ? "\\u%04x" : "%c", c))
            .collect(java.util.stream.Collectors.joining());
    }
}

/** Reads JSON: an object becomes a Map, an array a List, all else a String. Commas and colons pass for blanks. */
class Json {
    final String json; int at;
    Json(String json) { this.json = json; }
    Object value() { // null where an object or array ends
        while (" \t\r\n,:".indexOf(json.charAt(at)) >= 0) at++;
        int start = at++;
        char first = json.charAt(start);
        if (first == '"' || first == '}' || first == ']') return first == '"' ? string() : null;
        if (first == '{' || first == '[') {
            List<Object> values = new ArrayList<>();
            for (Object each; (each = value()) != null; ) values.add(each);
            Map<Object, Object> object = new HashMap<>();
            for (int i = 1; first == '{' && i < values.size(); i += 2) object.put(values.get(i - 1), values.get(i));
            return first == '{' ? object : values;
        }
        while (" \t\r\n,]}".indexOf(json.charAt(at)) < 0) at++; // a number, true, false or null
        return json.substring(start, at);
    }

    String string() {
        StringBuilder text = new StringBuilder();
        for (char c; (c = json.charAt(at++)) != '"'; text.append(c)) {
            if (c != '\\') continue;
            c = json.charAt(at++);
            if ("bfnrt".indexOf(c) >= 0) c = "\b\f\n\r\t".charAt("bfnrt".indexOf(c));
            if (c == 'u') c = (char) Integer.parseInt(json.substring(at, at += 4), 16); // perhaps half of a pair
        }
        return text.toString();
    }
}
