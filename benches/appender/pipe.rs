//! Programs that take records on standard input and rotate files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::UsageWho;

use crate::child::{ABSENT, Drive, Order, status_of, usage_of};
use crate::records::{Records, STARTS};

/// multilog takes no more; it gets more files of less.
const MULTILOG_MOST: u64 = 16_777_215;

pub(crate) fn is_ours(subject: &str) -> bool {
    ["cat", "logquota pipe", "rotatelogs", "s6-log", "multilog", "svlogd"].contains(&subject)
}

fn command(order: &Order) -> io::Result<Command> {
    let Order { segment, keep, dir, .. } = order;
    let log = dir.join("a.log");
    let mut command = Command::new(&order.subject);
    match order.subject.as_str() {
        "cat" => {
            command.stdout(File::create(&log)?);
        }
        "logquota pipe" => {
            command = Command::new(env!("CARGO_BIN_EXE_logquota-measured"));
            let quota = segment * u64::from(keep + 2);
            command.args(["pipe", "--size", &segment.to_string(), "--keep", &keep.to_string()]);
            command.args(["--quota", &quota.to_string()]).arg(&log);
        }
        "rotatelogs" => {
            // It knows sizes of KiB upwards, and files with the live one.
            command.args(["-n", &(keep + 1).to_string()]).arg(&log);
            command.arg(format!("{}K", segment >> 10));
        }
        "s6-log" => {
            command.args([format!("n{keep}"), format!("s{segment}")]).arg(dir);
        }
        "multilog" => {
            let size = (*segment).min(MULTILOG_MOST);
            let files = segment * u64::from(*keep) / size;
            command.args([format!("n{files}"), format!("s{size}")]).arg(dir);
        }
        _ => {
            fs::write(dir.join("config"), format!("s{segment}\nn{keep}\n"))?;
            command.arg(dir);
        }
    }
    Ok(command)
}

pub(crate) fn run(order: &Order) -> io::Result<()> {
    let Drive::Bytes(bytes) = order.drive else {
        return Err(io::Error::other("a pipe takes so many bytes"));
    };
    let records = Records::new(order.class);
    let mut command = command(order)?;
    if order.subject != "cat" {
        command.stdout(Stdio::null());
    }
    command.stdin(Stdio::piped());
    if order.segment == 64 << 20 {
        // Messages about records and files; kept for small runs, which are for looking.
        command.stderr(Stdio::null());
    }
    let (own, start) = (usage_of(UsageWho::RUSAGE_SELF), Instant::now());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("{}: not installed", order.subject);
            println!("{ABSENT}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut input = child.stdin.take();
    let fed = feed(&records, input.as_mut(), bytes);
    // Its own, before it ends; what wait4 says has the memory of its parent in it.
    let memory = status_of(&child.id().to_string(), "VmHWM:") as f64 / 1_048_576.0;
    drop(input);
    let status = child.wait()?;
    let wall = start.elapsed().as_secs_f64();
    let offered = match fed {
        Ok(offered) if status.success() => offered,
        // A version without the command.
        _ if order.subject == "logquota pipe" && status.code() == Some(2) => {
            println!("{ABSENT}");
            return Ok(());
        }
        Ok(_) => return Err(io::Error::other(format!("{}: {status}", order.subject))),
        Err(error) => return Err(error),
    };
    let cpu = usage_of(UsageWho::RUSAGE_CHILDREN);
    let own = usage_of(UsageWho::RUSAGE_SELF) - own;
    let gib = offered as f64 / f64::from(1 << 30);
    let (files, cut, on_disk) = cut_files(&order.dir)?;
    for (name, figure) in [
        ("CPU", cpu / gib),
        ("CPU with its writer", (cpu + own) / gib),
        ("wall", wall / gib),
        ("memory", memory),
        ("files", files),
        ("begin inside a record", cut),
        ("offered bytes", offered as f64),
        ("disk bytes", on_disk),
        ("all kept", 1.0),
    ] {
        println!("{name}\t{figure}");
    }
    Ok(())
}

/// Whole records, of about `bytes` in all.
fn feed(records: &Records, to: Option<&mut impl io::Write>, bytes: u64) -> io::Result<u64> {
    let Some(to) = to else { return Ok(0) };
    let text = records.text().as_bytes();
    let mut offered = 0;
    while offered < bytes {
        for block in text.chunks(64 << 10) {
            to.write_all(block)?;
        }
        offered += text.len() as u64;
    }
    to.flush()?;
    Ok(offered)
}

/// Files with records, those that begin inside of one, and their bytes.
fn cut_files(dir: &Path) -> io::Result<(f64, f64, f64)> {
    let (mut files, mut cut, mut bytes) = (0.0, 0.0, 0.0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let mut start = Vec::new();
        if entry.file_name() != "config" && entry.metadata()?.is_file() {
            File::open(entry.path())?.take(8).read_to_end(&mut start)?;
        }
        if !start.is_empty() {
            files += 1.0;
            cut += f64::from(u8::from(!STARTS.iter().any(|known| start.starts_with(known))));
            bytes += entry.metadata()?.len() as f64;
        }
    }
    Ok((files, cut, bytes))
}
