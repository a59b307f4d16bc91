//! The table of `exec`: a static `true` in a container that runs.

use crate::contenders::{Contender, Setting, target_dir, which};
use crate::{Options, Result, pairs, table};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

pub fn print(setting: &Setting, options: &Options) -> Result<()> {
    let records = target_dir().join("tmp/bench/records");
    fs::create_dir_all(&records)?;
    fs::set_permissions(&records, fs::Permissions::from_mode(0o700))?;
    let records = records.display().to_string();
    let mut rows = pairs::headings("exec, its time /");
    let mut refusals = Vec::new();
    for (kind, more) in [("--privileged", &["--privileged"][..]), ("all defaults", &[])] {
        let name = format!("bench-{}-{}", std::process::id(), more.len());
        let mut run = setting.mydocker.command.clone();
        run.extend(["--state", &records, "--name", &name].iter().chain(more).map(|word| word.to_string()));
        run.extend([setting.floor.clone(), "wait".into()]);
        let _running = Running::start(&run)?;
        let exec = [&setting.mydocker.command[0], "exec", "--state", &records, &name, &setting.floor];
        let exec = Contender::plain("exec", exec.map(String::from).to_vec());
        let state = state_of(&format!("{records}/{name}/state"))?;
        let record = format!("{records}/{name}");
        let straight = |name, verb| straight(setting, name, verb, &state, &record);
        let mut peers = vec![
            straight("straight", "exec")?,
            straight("straight, appears last", "exec-last")?,
            straight("straight, appears last, asks", "exec-asking")?,
        ];
        if more.is_empty() {
            peers.push(straight("straight, appears last, asks, confined", "exec-confined")?);
        }
        let mut runc = None;
        match which("runc") {
            Some(_) if more.is_empty() => {
                let root = target_dir().join("tmp/bench/runc-exec").display().to_string();
                let id = format!("mydocker-{name}");
                let bundle = setting.bundle("runc-exec", &["/true", "wait"])?;
                let words = ["runc", "--root", &root, "run", "--bundle", &bundle, &id];
                match Running::start(&words.map(String::from)) {
                    Ok(running) => runc = Some(running),
                    Err(reason) => refusals.push(format!("  runc exec: {reason}")),
                }
                let words = ["runc", "--root", &root, "exec", &id, "/true"];
                peers.extend(runc.is_some().then(|| Contender::plain("runc exec", words.map(String::from).to_vec())));
            }
            _ => {}
        }
        for peer in [&exec].into_iter().chain(&peers) {
            if let Some(reason) = peer.refusal() {
                refusals.push(format!("  {}: {reason}", peer.name));
            }
        }
        for peer in peers.iter().filter(|peer| peer.refusal().is_none() && exec.refusal().is_none()) {
            rows.push(pairs::cells(format!("{}, {kind}", peer.name), &exec, peer, options)?);
        }
        drop(runc);
    }
    table::print(&rows);
    println!(
        "a static `true` in a container under the four limits. straight: opens the pidfd, calls setns, joins the same groups and\n\
         executes; it drops and filters nothing, so that --privileged is the one to look at. The one that appears last does so by a\n\
         second clone, as exec does: no process of the container sees one that still has the host's files. The one that asks reads\n\
         the record, and makes the other calls by which exec makes sure, and makes nothing of what they tell. The one that is confined\n\
         drops and filters, too, what the container has given up."
    );
    if !refusals.is_empty() {
        println!("not measured:\n{}", refusals.join("\n"));
    }
    Ok(())
}

/// The state of a container, which mydocker notes when the command is executed, perhaps a moment later.
fn state_of(path: &str) -> Result<String> {
    for _ in 0..5000 {
        match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => sleep(Duration::from_millis(2)),
            other => return Ok(other?),
        }
    }
    Err(format!("not there: {path}").into())
}

/// The straight-line program, for the container of this record.
fn straight(setting: &Setting, name: &str, verb: &str, state: &str, record: &str) -> Result<Contender> {
    let pid = state.lines().find_map(|line| line.strip_prefix("pid ")).ok_or("no pid in the record")?.trim();
    let groups = state.lines().filter_map(|line| line.strip_prefix("group ")?.split_once(' '));
    let files = groups.map(|(kind, path)| format!("{path}/{}", if kind == "2" { "cgroup.procs" } else { "tasks" }));
    let mut words = vec![setting.floor.clone(), verb.into(), pid.into()];
    words.extend(files);
    words.extend(["exec-asking", "exec-confined"].contains(&verb).then(|| record.to_string()));
    words.extend(["--".into(), setting.floor.clone()]);
    // It checks nothing: its command must see the namespaces of the container.
    let seen = |words: &[String]| -> Result<Vec<u8>> {
        let cat = which("readlink").ok_or("no readlink")?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..words.len() - 1]).arg(cat).args(["/proc/self/ns/pid", "/proc/self/ns/mnt"]);
        command.args(["/proc/self/ns/net", "/proc/self/ns/uts", "/proc/self/ns/ipc"]);
        Ok(command.stdin(Stdio::null()).output()?.stdout)
    };
    let names = ["pid", "mnt", "net", "uts", "ipc"].map(|name| fs::read_link(format!("/proc/{pid}/ns/{name}")));
    let mut expected = String::new();
    for name in names {
        expected += &format!("{}\n", name?.display());
    }
    if seen(&words)? != expected.as_bytes() {
        return Err("the straight-line program does not enter the container".into());
    }
    Ok(Contender::plain(name, words))
}

/// A container that waits for the end of its input; it ends with this.
struct Running(Child);

impl Running {
    fn start(words: &[String]) -> Result<Running> {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut byte = [0];
        let ready = child.stdout.take().map(|mut stdout| stdout.read_exact(&mut byte));
        let running = Running(child);
        match ready {
            Some(Ok(())) => Ok(running),
            _ => Err(format!("it does not start: {}", words.join(" ")).into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
