//! All sequences of up to three things that happen to a log on a disk of eight blocks, each
//! run cut before every call that changes something.

use logquota::fs::sim::{SimDisk, SimFs, Unsynced};
use logquota::policy::{Method, NewFile};
use logquota::{Bytes, Codec, Config, Policy, SetSpec};
use logquota_tests::sandbox::{Machine, NOON, at};
use logquota_tests::workloads::{Promise, Workload, text};

use crate::common::{Reference, Wanted, calls, fail};

const LOG: &str = "/d/app.log";

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    WriteBlock,
    WriteLittle,
    MoveLogAway,
    DeleteLog,
    EmptyLog,
    FillDisk,
    FreeDisk,
    NextDay,
    RunSmallQuota,
    RunLargeQuota,
    RunForced,
    RunCopyTruncate,
}

const OPS: [Op; 12] = [
    Op::WriteBlock,
    Op::WriteLittle,
    Op::MoveLogAway,
    Op::DeleteLog,
    Op::EmptyLog,
    Op::FillDisk,
    Op::FreeDisk,
    Op::NextDay,
    Op::RunSmallQuota,
    Op::RunLargeQuota,
    Op::RunForced,
    Op::RunCopyTruncate,
];

/// A machine on the way through a sequence.
struct State {
    fs: SimFs,
    machine: Machine,
    records: u32,
    tried: usize,
}

fn start() -> State {
    // Two directories have a block each.
    let shape = SimDisk { capacity: Bytes::new(512 * 10), inodes: 12, ..SimDisk::default() };
    let fs = SimFs::new(shape);
    fs.set_time(NOON);
    let ready = fs
        .mkdir("/d")
        .and_then(|()| fs.put(LOG, text("first", 700), NOON - 60))
        .and_then(|()| fs.put("/d/app.log.1", text("older", 600), NOON - 86_400));
    ready.unwrap_or_else(|e| panic!("{e}"));
    State { fs, machine: Machine::new(Config::default()), records: 0, tried: 0 }
}

fn config(op: Op) -> Config {
    let mut policy = Policy::default().rotate_at(Bytes::new(512)).keep_count(3);
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(0) });
    policy.if_empty = false;
    policy = policy.compress(Codec::Gzip);
    match op {
        Op::RunSmallQuota => policy = policy.quota(Bytes::new(1536)),
        Op::RunCopyTruncate => {
            policy.method = Method::CopyTruncate;
            policy.create = None;
        }
        _ => policy = policy.quota(Bytes::mib(1)),
    }
    Config::single(SetSpec::pattern("/d/*.log", policy))
}

impl State {
    fn fork(&self) -> Self {
        let fs = self.fs.reboot(Unsynced::Kept, 0);
        Self { fs, machine: self.machine.clone(), records: self.records, tried: 0 }
    }

    /// Does one thing. What is impossible (no such file, a full disk) does not happen.
    fn happen(&mut self, op: Op, case: &str) {
        let mut write = |len: u64| {
            self.records += 1;
            let name = format!("record-{}", self.records);
            if let logquota::fs::sim::Content::Bytes(bytes) = text(&name, len) {
                let _ = self.fs.append(LOG, &bytes);
            }
        };
        match op {
            Op::WriteBlock => write(600),
            Op::WriteLittle => write(100),
            Op::MoveLogAway => drop(self.fs.move_over(LOG, "/d/mine")),
            Op::DeleteLog => drop(self.fs.unlink(LOG)),
            Op::EmptyLog => drop(self.fs.empty(LOG)),
            Op::FillDisk => drop(self.fs.fill_disk("/d/film")),
            Op::FreeDisk => drop(self.fs.unlink("/d/film")),
            Op::NextDay => {
                self.machine.now += chrono::TimeDelta::days(1);
                self.fs.set_time(self.machine.now.timestamp());
            }
            Op::RunSmallQuota | Op::RunLargeQuota | Op::RunForced | Op::RunCopyTruncate => {
                self.run(op, case);
            }
        }
        self.fs.settle();
    }

    fn run(&mut self, op: Op, case: &str) {
        self.machine.config = config(op);
        let promise = match op {
            Op::RunCopyTruncate => Promise::MayRepeat,
            _ => Promise::SameOrMore,
        };
        let mut machine = self.machine.clone();
        self.fs.forget();
        if op == Op::RunForced {
            // Forced once; what is left to do after a crash is done by ordinary runs.
            machine.force = true;
            let fs = self.fs.reboot(Unsynced::Kept, 0);
            fs.record_images();
            if let Err(why) = machine.run(&fs) {
                fail(case, &why, &calls(&fs.log(), u64::MAX));
            }
            machine.force = false;
            for image in fs.images() {
                let after = image.reboot(Unsynced::Kept, 0);
                self.tried += 1;
                let done = machine.settle(&after, 3).and_then(|_| machine.look(&after));
                let lost = done.and_then(|end| {
                    let logs = end.logs.into_values();
                    let kept = logs.flat_map(|log| log.archives.into_iter().map(|(_, s)| s));
                    let kept: Vec<_> = kept.map(|seen| seen.content).collect();
                    let mut once = kept.clone();
                    once.sort();
                    once.dedup();
                    if once.len() == kept.len() { Ok(()) } else { Err("an archive twice".into()) }
                });
                if let Err(why) = lost {
                    fail(case, &why, &calls(&fs.log(), image.call()));
                }
            }
            self.fs = fs;
            return;
        }
        let fs = self.fs.reboot(Unsynced::Kept, 0);
        let workload = Workload { name: "sequence", machine: machine.clone(), fs, promise };
        let reference = Reference::of_workload(workload)
            .unwrap_or_else(|why| fail(case, &format!("without a crash: {why}"), ""));
        let fs = reference.fs();
        fs.record_images();
        if let Err(why) = machine.settle(&fs, 3) {
            fail(case, &why, &calls(&fs.log(), u64::MAX));
        }
        for image in fs.images() {
            let after = image.reboot(Unsynced::Kept, 0);
            self.tried += 1;
            if let Err(why) = reference.recover(&after, Unsynced::Kept) {
                let case = format!("{case}/{}", image.call());
                fail(&case, &why, &calls(&fs.log(), image.call()));
            }
        }
        self.fs = fs;
        self.machine.state = machine.state;
    }
}

fn walk(state: &State, path: &str, depth: usize, wanted: &Wanted, tried: &mut usize) {
    for op in OPS {
        let case = format!("{path}/{op:?}");
        if !wanted.is(&case) {
            continue;
        }
        let mut next = state.fork();
        next.happen(op, &case);
        *tried += next.tried;
        if depth > 1 {
            walk(&next, &case, depth - 1, wanted, tried);
        }
    }
}

#[test]
fn h52_all_sequences_of_three_on_a_small_disk_survive_a_crash_at_every_call() {
    let mut tried = 0;
    let state = start();
    assert_eq!(state.machine.now, at(NOON));
    walk(&state, "sequence", 3, &Wanted::from_env(), &mut tried);
    println!("{tried} crashes");
    assert!(tried > 1000 || std::env::var_os("LOGQUOTA_SEED").is_some(), "{tried}");
}
