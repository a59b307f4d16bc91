//! `cargo bench`: what a run costs compared with the floor and with the peers. All results are ratios: the two sides of
//! each are measured in turns, in one run, on one machine. `-- --profile` shows where the time of one run goes.

mod contenders;
mod exec;
mod network;
mod numbers;
mod pairs;
mod phases;
mod table;
mod terminal;

use contenders::Setting;
use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
cargo bench -- [OPTION..]
  --quick          a tenth of the pairs
  --cold N         pairs with 0.3 s of idling before each run (40)
  --hot N          pairs back to back (200)
  --terminal N     rounds of 100 MB through a terminal (10)
  --only A,B       these peers: floor, own, hardened, shown, asking, unshare, bwrap, rootfs, ephemeral, bwrap-root, runc, crun; script for
                   the terminal, network for the bridge and the relay, exec for the table of exec
  --profile        the phases of a run instead
MYDOCKER=FILE is measured if it is set; else the static musl file, which is built now; else what cargo has built.";

struct Options {
    cold: usize,
    hot: usize,
    /// Rounds through the terminal, and through the relay.
    terminal: usize,
    is_quick: bool,
    only: Option<Vec<String>>,
    profile: bool,
}

fn main() -> ExitCode {
    let result = parse(std::env::args().skip(1)).and_then(|options| match options {
        None => {
            println!("{HELP}");
            Ok(true)
        }
        Some(options) => bench(&options),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` if the caller did not ask for a measurement.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options = Options { cold: 40, hot: 200, terminal: 10, is_quick: false, only: None, profile: false };
    let mut measure = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            // `cargo bench` passes this word, `cargo test --benches` does not.
            "--bench" => measure = true,
            "--quick" => {
                (options.cold, options.hot, options.terminal) = (4, 20, 3);
                options.is_quick = true;
            }
            "--cold" => options.cold = value()?.parse()?,
            "--hot" => options.hot = value()?.parse()?,
            "--terminal" => options.terminal = value()?.parse()?,
            "--only" => options.only = Some(value()?.split(',').map(String::from).collect()),
            "--profile" => options.profile = true,
            "-h" | "--help" => return Ok(None),
            _ => return Err(format!("unknown option {word}\n{HELP}").into()),
        }
    }
    if [options.cold, options.hot, options.terminal].contains(&0) {
        return Err("at least one pair of each kind".into());
    }
    Ok(Some(options).filter(|_| measure))
}

/// False if a count exceeds the ledger.
fn bench(options: &Options) -> Result<bool> {
    let setting = Setting::find()?;
    println!("{}\n", setting.description());
    if options.profile {
        phases::print(&setting, options)?;
        return Ok(true);
    }
    let measure = |name: &str| options.only.as_ref().is_none_or(|only| only.iter().any(|word| word == name));
    if options.only.as_ref().is_some_and(|only| only.iter().all(|word| word == "script")) {
        return terminal::print(&setting, options.terminal).map(|()| true);
    }
    if options.only.as_ref().is_some_and(|only| only.iter().all(|word| word == "network")) {
        return network::print(&setting, options).map(|()| true);
    }
    if options.only.as_ref().is_some_and(|only| only.iter().all(|word| word == "exec")) {
        return exec::print(&setting, options).map(|()| true);
    }
    let mut peers = setting.peers()?;
    if let Some(only) = &options.only {
        if let Some(name) = only.iter().find(|name| {
            !["script", "network", "exec"].contains(&name.as_str()) && peers.iter().all(|peer| &peer.name != *name)
        }) {
            return Err(format!("no peer is called {name}").into());
        }
        peers.retain(|peer| only.contains(&peer.name));
    }
    // Each contender that cannot work here is tried once, and left out with its own error message.
    let (mut works, mut refusals) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer.refusal() {
            None => works.push(peer),
            Some(reason) => refusals.push(format!("  {}: {reason}", peer.name)),
        }
    }
    if let Some(reason) = setting.mydocker.refusal() {
        return Err(format!("mydocker does not work here: {reason}").into());
    }

    pairs::print(&setting.mydocker, &works, options)?;
    println!("\neach is started from the same process and does its nearest equivalent of");
    println!("  {}", setting.mydocker.command.join(" "));
    for peer in &works {
        println!("  {}: {}", peer.name, peer.differences);
    }
    if !refusals.is_empty() {
        println!("not measured:\n{}", refusals.join("\n"));
    }
    println!();
    if measure("exec") {
        exec::print(&setting, options)?;
        println!();
    }
    let within = numbers::print(&setting, &works)?;
    if measure("script") {
        println!();
        terminal::print(&setting, options.terminal)?;
    }
    if measure("network") {
        println!();
        network::print(&setting, options)?;
    }
    Ok(within)
}
