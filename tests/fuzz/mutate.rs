//! Inputs: the seeds of a target, changed at random.

use fastrand::Rng;

/// No input is longer.
const LONGEST: usize = 4096;

/// Numbers at which something may go over.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "00",
    "63",
    "127",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
];

/// Bytes that mean something to a parser or to a terminal.
const BYTES: &[u8] = b"\0\n\t\r\x1b\x7f\x80\x9b\xc3\xe2\xff \"'\\$`#,.:;/-=@_09azAZ~";

/// The input with this `number`, always the same.
pub fn input(seeds: &[Vec<u8>], words: &[&str], number: u64) -> Vec<u8> {
    let rng = &mut Rng::with_seed(number);
    let mut input = seeds[rng.usize(..seeds.len())].clone();
    // Now and then a seed as it is, or nothing of one.
    match rng.u8(..) {
        0 => return input,
        1..=3 => input = (0..rng.usize(..64)).map(|_| rng.u8(..)).collect(),
        _ => {}
    }
    for _ in 0..rng.usize(1..=6) {
        change(&mut input, seeds, words, rng);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let to = (at + rng.usize(..32)).min(input.len());
    match rng.u8(..12) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = BYTES[rng.usize(..BYTES.len())],
        2 => input.insert(at, BYTES[rng.usize(..BYTES.len())]),
        3 => drop(input.drain(at..to)),
        4 => input.truncate(at),
        5 => {
            let part = input[at..to].to_vec();
            let times = rng.usize(1..16);
            input.splice(at..at, part.repeat(times));
        }
        6 | 7 if !words.is_empty() => drop(input.splice(at..at, words[rng.usize(..words.len())].bytes())),
        8 => {
            // A number becomes another one.
            let digits = |byte: &u8| byte.is_ascii_digit();
            let from = input.iter().skip(at).position(digits).map_or(at, |found| at + found);
            let len = input[from..].iter().take_while(|byte| digits(byte)).count();
            input.splice(from..from + len, NUMBERS[rng.usize(..NUMBERS.len())].bytes());
        }
        9 => {
            let other = &seeds[rng.usize(..seeds.len())];
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        10 => {
            // Half a line of the same input, elsewhere.
            let part = input[at..to].to_vec();
            let place = rng.usize(..=input.len());
            input.splice(place..place, part);
        }
        _ => drop(input.splice(at..to, (0..rng.usize(..8)).map(|_| rng.u8(..)).collect::<Vec<u8>>())),
    }
}
