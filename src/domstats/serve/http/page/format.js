// Numbers and names as text. A number comes as a decimal string, "18446744073709551615" or "12.5", and is scaled as a
// BigInt: JavaScript's own numbers lose integers above 2^53.

export const MISSING = "–";
const NAME_MAX = 256; // characters of a name that are shown in a row; the whole of it stands in the panel
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const BINARY = { base: 1024n, units: ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] };
const METRIC = { base: 1000n, units: ["", "k", "M", "G", "T", "P", "E"] };

// Whether this is a number as the server writes it.
export function isDecimal(text) {
  return typeof text === "string" && DECIMAL.test(text);
}

// A number to sort by and to draw; close to it where it has more than 53 bits. NaN for what is no number.
export function approximate(text) {
  return isDecimal(text) ? Number(text) : NaN;
}

// Which of two decimal strings is greater, exactly: negative, 0 or positive.
export function compareDecimals(left, right) {
  const [a, b] = [scaledTo18(left), scaledTo18(right)];
  return a < b ? -1 : a > b ? 1 : 0;
}

// "1610612736" -> "1.5 GiB".
export function bytes(text) {
  return scaled(text, BINARY);
}

// "1610612736" -> "1.6 G".
export function count(text) {
  return scaled(text, METRIC);
}

// "12.34" -> "12.3", "100" -> "100.0".
export function tenths(text) {
  const found = DECIMAL.exec(text ?? "");
  if (!found) return MISSING;
  const rounded = (scaledTo18(text) * (found[1] ? -1n : 1n) + 5n * 10n ** 16n) / 10n ** 17n;
  const sign = found[1] && rounded ? "-" : "";
  return `${sign}${rounded / 10n}.${rounded % 10n}`;
}

// "18446744073709551615" -> "18 446 744 073 709 551 615", every digit of it.
export function exact(text) {
  const found = DECIMAL.exec(text ?? "");
  if (!found) return MISSING;
  const whole = found[2].replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return found[1] + whole + (found[3] ? `.${found[3]}` : "");
}

// How long: 7 -> "7s", 192 -> "3m 12s", 93784 -> "1d 2h".
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return MISSING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

// The time of day there, with the date where it is not today's. `now` and `time`: seconds since the epoch.
export function clock(time, now) {
  if (!Number.isFinite(time)) return MISSING;
  const then = new Date(time * 1000);
  const day = `${then.getFullYear()}-${pad(then.getMonth() + 1)}-${pad(then.getDate())}`;
  const hours = `${pad(then.getHours())}:${pad(then.getMinutes())}:${pad(then.getSeconds())}`;
  return new Date(now * 1000).toDateString() === then.toDateString() ? hours : `${day} ${hours}`;
}

// A name with what cannot be seen in it written as escapes: control characters, marks that turn the direction of writing,
// spaces of no width, halves of a surrogate pair.
export function visible(name, most = NAME_MAX) {
  const letters = Array.from(name.slice(0, 2 * most));
  const text = letters.slice(0, most).map(shown).join("");
  const cut = name.length > 2 * most || letters.length > most;
  return (text.trim() ? text : text.replaceAll(" ", "␣")) + (cut ? "…" : "");
}

function shown(letter) {
  if (!UNSEEN.test(letter)) return letter;
  const digits = letter.codePointAt(0).toString(16);
  if (digits.length > 4) return `\\U${digits.padStart(8, "0")}`;
  return SHORT[letter] ?? (digits.length > 2 ? `\\u${digits.padStart(4, "0")}` : `\\x${digits.padStart(2, "0")}`);
}

function scaled(text, { base, units }) {
  const found = DECIMAL.exec(text ?? "");
  if (!found) return MISSING;
  const whole = BigInt(found[2]);
  let unit = 0;
  let size = 1n;
  // What would be rounded up to "1024 KiB" is "1.0 MiB".
  while (unit < units.length - 1 && (whole * 10n + size / 2n) / size >= base * 10n - 5n) {
    size *= base;
    unit += 1;
  }
  const ten = (whole * 10n + size / 2n) / size;
  const figure = unit === 0 ? `${whole}` : ten < 100n ? `${ten / 10n}.${ten % 10n}` : `${(ten + 5n) / 10n}`;
  return `${found[1]}${figure}${units[unit] ? ` ${units[unit]}` : ""}`;
}

function scaledTo18(text) {
  const found = DECIMAL.exec(text ?? "");
  if (!found) return 0n;
  const value = BigInt(found[2] + (found[3] ?? "").slice(0, 18).padEnd(18, "0"));
  return found[1] ? -value : value;
}

function pad(number) {
  return String(number).padStart(2, "0");
}
