// A terminal client for the classroom chat server, in C11 with POSIX. On Windows, use it in WSL or Cygwin.
//   cc -std=c11 -o client client.c
//   ./client [HOST] NAME [PASSWORD] [--port PORT]
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define SILENCE 45 // seconds, three heartbeats: a server that is silent for so long has vanished
#define HELP "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit"
#define BLANKS " \t\r\n,:" // between the values of JSON; colons and commas pass for blanks here

struct text { char *data; size_t length, room; }; // grows, so that nothing that comes is too long for it
static struct { char *name; bool is_guest; } *users;
static size_t user_count;
static int server;
static bool logged_in;
static time_t heard, left_at; // when something came last; when the user left

static void add(struct text *text, int byte) {
    if (text->length + 2 > text->room && !(text->data = realloc(text->data, text->room = 2 * text->room + 64))) abort();
    text->data[text->length++] = (char)byte;
    text->data[text->length] = 0;
}

static void clear(struct text *text) { text->length = 0; add(text, 0); text->length = 0; }

static void end(const char *reason) {
    if (!left_at) printf("* connection lost: %s\n", reason);
    exit(left_at ? 0 : 1);
}

// Takes a character off a text in UTF-8; what is not UTF-8 becomes U+FFFD.
static unsigned next_char(const char **at) {
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)(*at)++;
    int more = *byte < 0x80 ? 0 : *byte >> 5 == 6 ? 1 : *byte >> 4 == 14 ? 2 : *byte >> 3 == 30 ? 3 : -1;
    unsigned c = more > 0 ? *byte & (0x3f >> more) : *byte;
    for (int i = 1; i <= more; i++) {
        if (byte[i] >> 6 != 2) return 0xfffd; // the end of the text, for example
        c = c << 6 | (byte[i] & 0x3f);
    }
    if (more < 0 || c < least[more] || c > 0x10ffff || c >> 11 == 0x1b) return 0xfffd;
    *at += more;
    return c;
}

// Adds a character in UTF-8, or escaped if it would steer the terminal or reorder the line.
static void add_char(struct text *text, unsigned c) {
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    char escape[16];
    if (c < ' ' || (c > 0x7e && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c > 0x2027 && c < 0x202f)
        || (c > 0x2065 && c < 0x206a) || c >> 11 == 0x1b) { // the last is half of a pair
        snprintf(escape, sizeof escape, "\\u%04x", c);
        for (char *at = escape; *at; at++) add(text, *at);
        return;
    }
    add(text, more ? (0xff00 >> (more + 1) & 0xff) | c >> 6 * more : c);
    while (more--) add(text, 0x80 | (c >> 6 * more & 0x3f));
}

static unsigned hex(const char **at) {
    char digits[5] = "";
    strncat(digits, *at, 4);
    *at += strlen(digits);
    return strtoul(digits, NULL, 16) & 0xffff;
}

// Adds what a JSON string says, fit for the terminal, and returns what follows it; `at` is behind its first quote.
static const char *add_string(struct text *text, const char *at) {
    while (*at && *at != '"') {
        unsigned c = next_char(&at);
        if (c == '\\' && *at) {
            const char *known = strchr("b\bf\fn\nr\rt\t", *at), *low;
            c = next_char(&at);
            if (known) c = known[1];
            if (c == 'u') c = hex(&at);
            if (c >> 10 == 0x36 && !strncmp(at, "\\u", 2) && (low = at + 2, (hex(&low) & 0xfc00) == 0xdc00)) {
                at += 2; // two escapes, a surrogate pair, are one character
                c = 0x10000 + ((c & 0x3ff) << 10 | (hex(&at) & 0x3ff));
            }
        }
        add_char(text, c);
    }
    return *at ? at + 1 : at;
}

// What follows the JSON value that is here.
static const char *behind(const char *at) {
    int depth = 0;
    do {
        at += strspn(at, BLANKS);
        if (*at == '"') {
            while (*++at && *at != '"') if (*at == '\\' && at[1]) at++;
            if (*at) at++;
        } else if (*at == '{' || *at == '[') depth++, at++;
        else if (*at == '}' || *at == ']') depth--, at++;
        else at += strcspn(at, BLANKS "{}[]\"");
    } while (*at && depth > 0);
    return at;
}

// The value of a key of a JSON object: where it begins. It is "" where there is no such key.
static const char *find(const char *object, const char *key) {
    static struct text name;
    const char *found = "";
    for (const char *at = object + 1; at += strspn(at, BLANKS), *at == '"'; at = behind(at)) {
        clear(&name);
        at = add_string(&name, at + 1);
        at += strspn(at, BLANKS);
        if (!strcmp(name.data, key)) found = at;
    }
    return found;
}

// The same as text, whether string or number.
static const char *get(struct text *into, const char *value) {
    clear(into);
    if (*value == '"') add_string(into, value + 1);
    else for (const char *end = value + strcspn(value, BLANKS "{}[]\""); value < end;)
        add_char(into, next_char(&value));
    return into->length ? into->data : "?";
}

static bool is_yes(const char *value) { return *value == '1' || *value == 't'; } // 1, or true

static void leave(const char *name) {
    for (size_t i = user_count; i-- > 0;) {
        if (strcmp(users[i].name, name)) continue;
        free(users[i].name);
        users[i] = users[--user_count];
    }
}

static void enter(const char *name, bool is_guest) {
    leave(name);
    if (!(users = realloc(users, (user_count + 1) * sizeof *users))) abort();
    if (!(users[user_count].name = strdup(name))) abort();
    users[user_count++].is_guest = is_guest;
}

static void who(void) {
    printf("* online:");
    for (size_t i = 0; i < user_count; i++)
        printf("%s %s%s", i ? "," : "", users[i].name, users[i].is_guest ? " (guest)" : "");
    printf("\n");
}

static void show(const char *message) {
    static struct text of_command, of_name, of_message;
    const char *flag = find(message, "Flag"), *command = find(message, "Command"), *name, *text;
    command = get(&of_command, *command ? command : find(message, "Comment")); // which a receipt may have instead
    text = get(&of_message, find(message, "Message"));
    name = get(&of_name, find(message, !strcmp(command, "30") ? "LogOnUserName" : !strcmp(command, "31")
        ? "LogOutUserName" : !strcmp(command, "32") ? "Speaker" : "FriendName"));
    switch (atoi(command)) {
        case 10: printf("* the server says: %s\n", text); break;
        case 11:
            if (!is_yes(flag)) {
                printf("* login refused: %s\n", text);
                exit(1);
            }
            const char *at = find(message, "Friends");
            for (at += *at == '['; at += strspn(at, BLANKS), *at == '['; at = behind(at)) { // a name and a mark
                const char *first = at + 1 + strspn(at + 1, BLANKS), *second = behind(first);
                enter(get(&of_name, first), is_yes(second + strspn(second, BLANKS)));
            }
            who();
            logged_in = true;
            break;
        case 12: printf(is_yes(flag) ? "* registered\n" : "* not registered: %s\n", text); break;
        case 13: printf("[%s to you] %s\n", name, text); break;
        case 14: // without a Flag it is a heartbeat
            if (*flag) printf(is_yes(flag) ? "* sent to %s\n" : "* NOT sent to %s: %s\n", name, text);
            break;
        case 30: enter(name, is_yes(find(message, "IsUserGuest"))); printf("* %s is here\n", name); break;
        case 31: leave(name); printf("* %s has left\n", name); break;
        case 32: printf("%s: %s\n", name, text); break;
    }
}

// Takes a byte of what comes, since recv() may bring half of a message, or three. If the message is whole with it,
// returns the message. It ends where the brace that began it is closed; not each server sends a newline behind, as
// chatd does. Only a whole one is taken for UTF-8: a cut may fall inside of a character.
static const char *take_byte(char byte) {
    static struct text frame;
    static int depth;
    static bool in_string, escaped;
    if (depth == 0 && strchr(" \t\r\n", byte)) return NULL;
    if (depth == 0) clear(&frame);
    if ((depth == 0 && byte != '{') || !byte || frame.length > 16 << 20) end("this is no chat server");
    add(&frame, byte);
    if (byte == '"' && !escaped) in_string = !in_string;
    escaped = in_string && byte == '\\' && !escaped;
    if (!in_string) depth += byte == '{' ? 1 : byte == '}' ? -1 : 0;
    return depth == 0 ? frame.data : NULL;
}

// Waits a second at most, and shows what the server sends. Returns true if something was typed, or can be sent.
static bool wait_for(int keyboard, short events) {
    struct pollfd fds[] = {{server, events, 0}, {keyboard, POLLIN, 0}};
    static char piece[65536];
    poll(fds, 2, 1000);
    if (left_at && time(NULL) > left_at + 5) exit(0); // the server does not hang up
    if (fds[0].revents & ~POLLOUT) {
        ssize_t count = recv(server, piece, sizeof piece, 0);
        if (count <= 0) end(count ? strerror(errno) : "the server has closed it");
        heard = time(NULL);
        for (ssize_t i = 0; i < count; i++) {
            const char *message = take_byte(piece[i]);
            if (message) show(message);
        }
    } else if (time(NULL) > heard + SILENCE) end("nothing has come for three heartbeats");
    return fds[1].revents || fds[0].revents & POLLOUT;
}

// Sends a message; each % stands for a string.
static void transmit(const char *format, const char *first, const char *second) {
    static struct text json;
    for (clear(&json); *format; format++) {
        if (*format != '%') {
            add(&json, *format == '\'' ? '"' : *format);
            continue;
        }
        add(&json, '"');
        while (*first) {
            unsigned c = next_char(&first);
            if (c == '"' || c == '\\') add(&json, '\\');
            add_char(&json, c);
        }
        add(&json, '"');
        first = second;
    }
    for (size_t sent = 0; sent < json.length;) { // send() may take a part, and what comes must be read meanwhile
        if (!wait_for(-1, POLLIN | POLLOUT)) continue;
        ssize_t count = send(server, json.data + sent, json.length - sent, MSG_DONTWAIT);
        if (count > 0) sent += count;
    }
}

static char *cut(char *line) { // at the first blank; further ones belong to what follows
    char *blank = strchr(line, ' ');
    if (!blank) return line + strlen(line);
    *blank = 0;
    return blank + 1;
}

static void obey(char *line) {
    line[strcspn(line, "\r")] = 0;
    if (*line != '@' && *line != '/') {
        if (*line) transmit("{'Command':'05','Message':%}\n", line, ""); // shown when it comes back, as 32
        return;
    }
    char *name = *line == '@' ? line + 1 : cut(line), *text = cut(name);
    if ((*line == '@' || !strcmp(line, "/msg")) && *text)
        transmit("{'Command':'04','FriendName':%,'Message':%}\n", name, text);
    else if (!strcmp(line, "/register") && *text) transmit("{'Command':'02','Name':%,'Password':%}\n", name, text);
    else if (!strcmp(line, "/who")) who();
    else if (!strcmp(line, "/quit")) {
        left_at = time(NULL);
        transmit("{'Command':'03'}\n", "", "");
    } else puts(HELP);
}

int main(int count, char **words) {
    const char *port = "4004", *given[4] = {0};
    int used = 0;
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--port") && i + 1 < count) port = words[++i];
        else if (used < 4 && *words[i] != '-') given[used++] = words[i];
        else used = 4;
    }
    if (used < 1 || used > 3) {
        fputs("usage: client [HOST] NAME [PASSWORD] [--port PORT]\nThen type: " HELP "\n", stderr);
        return 2;
    }
    const char *host = used > 1 ? given[0] : "127.0.0.1", *name = given[used > 1], *password = used > 2 ? given[2] : "";
    struct addrinfo *found = NULL, wanted = {.ai_socktype = SOCK_STREAM};
    int error = getaddrinfo(host, port, &wanted, &found);
    server = -1;
    for (struct addrinfo *each = found; each && server < 0; each = each->ai_next) { // IPv6 or IPv4
        server = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (server >= 0 && connect(server, each->ai_addr, each->ai_addrlen)) close(server), server = -1;
    }
    if (found) freeaddrinfo(found);
    if (server < 0) {
        const char *reason = error ? gai_strerror(error) : strerror(errno);
        fprintf(stderr, "cannot connect to %s, port %s: %s\n", host, port, reason);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN); // to write to a server that is gone fails, but does not kill
    setvbuf(stdout, NULL, _IOLBF, 0);
    heard = time(NULL);
    transmit("{'Command':'01','Name':%,'Password':%}\n", name, password);
    struct text typed = {0};
    clear(&typed);
    for (;;) {
        static char piece[4096];
        if (!wait_for(logged_in && !left_at ? STDIN_FILENO : -1, POLLIN)) continue;
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);
        if (got <= 0) obey(typed.data); // a last line without a newline
        if (got <= 0) obey(strcpy(piece, "/quit"));
        for (ssize_t i = 0; i < got && !left_at; i++) {
            if (piece[i] != '\n') add(&typed, piece[i]);
            else obey(typed.data), clear(&typed);
        }
    }
}
