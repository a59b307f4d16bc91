//! The words after the name of a command about containers become an [`Order`].

use super::options::path;
use super::spelling;
use super::verbs::Verb;
use mydocker::cgroup;
use mydocker::error::{Error, Result};
use mydocker::process::list::Order;

/// Parses the words after its name. `None`: its help is wanted.
pub fn parse(verb: &'static Verb, words: &[&[u8]]) -> Result<Option<Order>> {
    let split = spelling::normalise(verb.rows, words)?;
    if split.help {
        return Ok(None);
    }
    let mut order = Order {
        act: verb.act,
        state: None,
        all: false,
        quiet: false,
        json: false,
        filters: Vec::new(),
        force: false,
        names: Vec::new(),
    };
    for pair in split.options.chunks(2) {
        let [name, value] = pair else { continue };
        let value: &'static str = String::from(*value).leak();
        match *name {
            "--all" => order.all = true,
            "--quiet" => order.quiet = true,
            "--json" => order.json = true,
            "--filter" => order.filters.push(value),
            "--force" => order.force = true,
            _ => order.state = Some(path(value)),
        }
    }
    for word in split.command {
        let name = str::from_utf8(word).map_err(|_| Error::usage("not UTF-8", word))?;
        cgroup::check_name(name)?;
        order.names.push(String::from(name).leak());
    }
    let takes_names = verb.usage.contains("NAME");
    match order.names.first() {
        None if takes_names => Err(Error::usage("a NAME is missing", b"")),
        Some(name) if !takes_names => Err(Error::usage("it takes no NAME, not", name.as_bytes())),
        _ => Ok(Some(order)),
    }
}
