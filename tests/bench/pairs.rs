//! The table of ratios.

use crate::contenders::{Contender, unless_peer_fails};
use crate::table::{median, quantile, row};
use crate::{Options, Result, table};
use std::thread::sleep;
use std::time::Duration;

/// Long enough for the CPUs to enter an idle state: a call that waits for all CPUs then takes its real time.
pub const IDLE: Duration = Duration::from_millis(300);

/// Contenders that leave all privileges as they are: a run with --privileged is measured against them. The first does nothing but
/// what such a run does.
const DROP_NOTHING: [&str; 2] = ["own", "unshare"];

pub fn print(mydocker: &Contender, peers: &[Contender], options: &Options) -> Result<()> {
    let mut rows = headings("mydocker's time /");
    let privileged = peers.iter().find(|peer| peer.name == "privileged");
    let of_all = peers.iter().filter(|peer| peer.name != "own").map(|peer| (peer.name.clone(), mydocker, peer));
    let as_little = peers.iter().filter(|peer| DROP_NOTHING.contains(&peer.name.as_str()));
    let of_privileged = privileged.into_iter().flat_map(|privileged| {
        as_little.clone().map(move |peer| (format!("{}, --privileged", peer.name), privileged, peer))
    });
    for (name, mydocker, peer) in of_all.chain(of_privileged) {
        rows.push(cells(name, mydocker, peer, options)?);
    }
    table::print(&rows);
    println!(
        "{} pairs cold (0.3 s idle before each run), {} back to back. The median is that of the pairs' ratios; the\n\
         last column divides the times that a tenth of the runs stay below: what is left when nobody else is busy.\n\
         --privileged: mydocker with it, which drops, filters and hides as little as that peer.",
        options.cold, options.hot
    );
    Ok(())
}

/// The first two rows of a table of ratios.
pub fn headings(what: &str) -> Vec<Vec<String>> {
    let columns = ["median", "half lie in", "quickest tenths"];
    vec![
        row([what, "cold", "", "", "back to back", "", ""]),
        [&["that of"], &columns[..], &columns[..]].concat().into_iter().map(String::from).collect(),
    ]
}

/// One row of it.
pub fn cells(name: String, mydocker: &Contender, peer: &Contender, options: &Options) -> Result<Vec<String>> {
    let mut cells = vec![name];
    for (pairs, idle) in [(options.cold, Some(IDLE)), (options.hot, None)] {
        let pairs = match unless_peer_fails(times(mydocker, peer, pairs, idle))? {
            Ok(pairs) => pairs,
            Err(reason) => return Ok([cells, vec![reason]].concat()),
        };
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        cells.push(format!("{:.2}", median(&ratios)));
        cells.push(format!("{:.2} to {:.2}", quantile(&ratios, 0.25), quantile(&ratios, 0.75)));
        cells.push(format!("{:.2}", quantile(&ours, 0.1) / quantile(&theirs, 0.1)));
    }
    Ok(cells)
}

/// The seconds of each pair, in the order A B A B ..
pub fn times(a: &Contender, b: &Contender, pairs: usize, idle: Option<Duration>) -> Result<Vec<(f64, f64)>> {
    let run = |contender: &Contender| {
        if let Some(idle) = idle {
            sleep(idle);
        }
        contender.time().map(|time| time.as_secs_f64())
    };
    // The first pair brings the files into memory and is not counted.
    run(a)?;
    run(b)?;
    (0..pairs).map(|_| Ok((run(a)?, run(b)?))).collect()
}
