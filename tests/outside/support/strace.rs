//! Calls as strace(1) prints them: parsed, and compared where one side knows less than the other.

use std::iter::Peekable;
use std::str::Bytes;

/// One argument, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The bytes between quotes, and whether they are cut.
    Text(Vec<u8>, bool),
    /// `[a, b]`
    List(Vec<Value>),
    /// `{name=value}`; a field may have no name.
    Fields(Vec<(String, Value)>),
    /// A number, names of flags, an address. With what a descriptor refers to, if it is one.
    Word(String, Option<String>),
}

/// A call with its result, if it has one.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// Each with its name, which few have.
    pub arguments: Vec<(String, Value)>,
    pub result: Option<String>,
    /// As it was printed.
    pub line: String,
}

/// Parses `name(arguments)`, with ` = result` or without.
pub fn parse_call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return None;
    }
    let mut rest = rest.bytes().peekable();
    let arguments = parse_fields(&mut rest, b')');
    let after: Vec<u8> = rest.collect();
    let result = String::from_utf8(after).ok()?.trim_start().strip_prefix("= ").map(String::from);
    Some(Call { name: name.into(), arguments, result, line: line.into() })
}

/// Parses what stands between commas up to `end`, which is taken.
fn parse_fields(rest: &mut Peekable<Bytes>, end: u8) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    loop {
        while rest.next_if(|b| b" ,".contains(b)).is_some() {}
        if rest.next_if(|b| *b == end).is_some() || rest.peek().is_none() {
            return fields;
        }
        let left = rest.len();
        let mut name = String::new();
        let mut value = parse_value(rest);
        assert!(
            rest.len() < left || rest.peek() == Some(&b'='),
            "no value before {:?}",
            rest.peek().map(|b| char::from(*b))
        );
        if let Value::Word(word, None) = &value
            && rest.next_if(|b| *b == b'=').is_some()
        {
            name = word.clone();
            value = parse_value(rest);
        }
        fields.push((name, value));
    }
}

fn parse_value(rest: &mut Peekable<Bytes>) -> Value {
    match rest.peek() {
        Some(b'"') => {
            let bytes = parse_text(rest);
            let mut cut = false;
            while rest.next_if(|b| *b == b'.').is_some() {
                cut = true;
            }
            Value::Text(bytes, cut)
        }
        Some(b'[') => {
            rest.next();
            Value::List(parse_fields(rest, b']').into_iter().map(|(_, value)| value).collect())
        }
        Some(b'{') => {
            rest.next();
            let fields = parse_fields(rest, b'}');
            // mydocker shows what a descriptor in a structure refers to behind it.
            if rest.next_if(|b| *b == b'<').is_some() {
                while rest.next_if(|b| *b != b'>').is_some() {}
                rest.next();
            }
            Value::Fields(fields)
        }
        _ => parse_word(rest),
    }
}

/// A word goes on to the next comma or closing bracket, or to the `=` behind the name of a field.
fn parse_word(rest: &mut Peekable<Bytes>) -> Value {
    let (mut word, mut file) = (String::new(), None);
    let mut depth = 0;
    while let Some(byte) = rest.peek().copied() {
        match byte {
            b'(' | b'[' => depth += 1,
            b',' | b')' | b']' | b'}' | b'=' if depth == 0 => break,
            b')' | b']' => depth -= 1,
            // `1<<CAP_CHOWN` names a bit.
            b'<' if depth == 0 && !word.ends_with('<') && rest.clone().nth(1) != Some(b'<') => {
                rest.next();
                let path: Vec<u8> = std::iter::from_fn(|| rest.next_if(|b| *b != b'>')).collect();
                rest.next();
                file = Some(String::from_utf8_lossy(&path).into_owned());
                continue;
            }
            _ => {}
        }
        word.push(char::from(byte));
        rest.next();
    }
    // `NULL /* comment */`
    let word = word.split(" /*").next().unwrap_or_default().trim();
    Value::Word(word.to_string(), file)
}

fn parse_text(rest: &mut Peekable<Bytes>) -> Vec<u8> {
    rest.next();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => bytes.push(match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'v') => 11,
                Some(b'f') => 12,
                Some(b'x') => number(rest, 0, 2, 16),
                Some(digit @ b'0'..=b'7') => number(rest, u32::from(digit - b'0'), 2, 8),
                Some(other) => other,
                None => break,
            }),
            other => bytes.push(other),
        }
    }
    bytes
}

fn number(rest: &mut Peekable<Bytes>, first: u32, digits: usize, base: u32) -> u8 {
    let mut value = first;
    for _ in 0..digits {
        let Some(digit) = rest.peek().and_then(|b| char::from(*b).to_digit(base)) else { break };
        rest.next();
        value = value * base + digit;
    }
    value as u8
}

/// A process of a trace.
#[derive(Debug)]
pub struct Process {
    pub pid: String,
    pub calls: Vec<Call>,
}

/// The processes of what `strace -f -o` has written, in the order in which they begin. A call that another process
/// interrupts is put together again. A call that the kernel makes again by itself (ERESTARTNOINTR: a write to a setting of
/// the network, while somebody else holds the network's lock) counts once.
pub fn processes(trace: &str) -> Vec<Process> {
    let mut processes: Vec<Process> = Vec::new();
    let mut unfinished: Vec<(&str, &str)> = Vec::new();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').expect("a pid");
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.push((pid, start));
            continue;
        }
        let mut whole = rest.to_string();
        if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let at = unfinished.iter().position(|(other, _)| *other == pid).expect("a call that has begun");
            whole = format!("{}{end}", unfinished.remove(at).1);
        }
        let Some(call) = parse_call(&whole) else { continue };
        if call.result.as_deref().is_some_and(|result| result.starts_with("? ERESTARTNOINTR ")) {
            continue;
        }
        match processes.iter_mut().find(|process| process.pid == pid) {
            Some(process) => process.calls.push(call),
            None => processes.push(Process { pid: pid.into(), calls: vec![call] }),
        }
    }
    processes
}
