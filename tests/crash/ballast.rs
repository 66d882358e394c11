//! The ballast on a machine that stops, on a disk that fails, and beside others who put something
//! in its place.

use logquota::apply::Outcome;
use logquota::ballast::TEXT;
use logquota::fs::sim::{Content, Fault, SimDisk, SimFs, SimOp, Times, Unsynced};
use logquota::inventory::{BallastFound, Note};
use logquota::plan::{Action, Problem};
use logquota::policy::{Identity, Policy, RotateWhen, SetSpec};
use logquota::{Bytes, Codec, Config};
use logquota_tests::sandbox::{Machine, NOON, Ran};
use logquota_tests::workloads::noise;

const DIR: &str = "/log/.logquota";
const BALLAST: &str = "/log/.logquota/ballast";
const SIZE: Bytes = Bytes::kib(64);
const RESERVE: Bytes = Bytes::kib(100);

fn machine() -> Machine {
    let mut policy = Policy::for_directory(Bytes::mib(1)).rotate_at(Bytes::kib(30));
    policy.limits.quota = None;
    policy.naming = logquota::Naming::numbered(1);
    let policy = policy.keep_count(9).compress(Codec::Gzip).reserve(RESERVE);
    Machine::new(Config::single(SetSpec::pattern("/log/*.log", policy)).ballast(SIZE))
}

/// A log that is due, with two archives, and so much free besides.
fn disk(shape: SimDisk, free: Bytes) -> SimFs {
    let fs = SimFs::new(SimDisk { capacity: Bytes::kib(800), ..shape });
    fs.mkdir("/log").unwrap();
    for (name, kib, days) in [("a.log", 40, 0), ("a.log.1", 20, 1), ("a.log.2", 20, 2)] {
        let content = noise(kib + u64::try_from(days).unwrap(), kib << 10);
        fs.put(format!("/log/{name}"), content, NOON - days * 86_400).unwrap();
    }
    let rest = fs.free().minus(free);
    fs.put("/other", Content::Fill(b'y', rest.get()), 0).unwrap();
    fs.settle();
    fs
}

/// One with a ballast that a run has made, and a full disk behind.
fn full(shape: SimDisk) -> SimFs {
    let fs = disk(shape, Bytes::kib(300));
    let mut machine = Machine { config: at_rest(machine().config), ..machine() };
    let ran = machine.run(&fs).unwrap();
    assert_eq!(story(&ran), ["restore_ballast"], "{}", ran.story());
    assert!(kept(&fs) >= SIZE);
    fs.fill_disk("/flood").unwrap();
    fs.settle();
    fs
}

/// The same, and nothing is to be done about logs.
fn at_rest(mut config: Config) -> Config {
    for set in &mut config.sets {
        set.policy.when = RotateWhen::Never;
        set.policy.compress = None;
    }
    config
}

fn kept(fs: &SimFs) -> Bytes {
    fs.meta(BALLAST).map_or(Bytes::ZERO, |meta| meta.stamp.allocated)
}

fn story(ran: &Ran) -> Vec<&'static str> {
    let steps = ran.plan.steps.iter().zip(&ran.report.outcomes);
    let done = steps.filter(|(_, outcome)| matches!(outcome, Outcome::Done));
    done.map(|(step, _)| step.action.name()).collect()
}

fn has_repeats(sorted: &[Vec<u8>]) -> bool {
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// What is in the logs, whatever they are called by now.
fn contents(machine: &Machine, fs: &SimFs) -> Vec<Vec<u8>> {
    let inventory = machine.scan(fs).unwrap();
    let mut found = Vec::new();
    for log in &inventory.sets[0].logs {
        let names = log.archives.iter().map(|archive| archive.name()).chain([&*log.name]);
        for name in names {
            let bytes = fs.content(format!("/log/{}", name.to_string_lossy())).unwrap_or_default();
            let plain = match logquota::codec::detect(&bytes) {
                Some(codec) => {
                    let mut plain = Vec::new();
                    let mut decoder = logquota::codec::decoder(codec, &*bytes).unwrap();
                    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
                    plain
                }
                None => bytes,
            };
            if !plain.is_empty() {
                found.push(plain);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn it_goes_before_anything_else_and_no_archive_goes_for_what_it_gives() {
    let fs = full(SimDisk::default());
    let before = contents(&machine(), &fs);
    fs.unlink("/flood").unwrap();
    let rest = fs.free().minus(Bytes::kib(70));
    fs.put("/flood", Content::Fill(b'y', rest.get()), 0).unwrap();
    let ran = machine().run(&fs).unwrap();
    assert_eq!(story(&ran).first(), Some(&"release_ballast"), "{}", ran.story());
    assert!(!story(&ran).contains(&"delete"), "{}", ran.story());
    assert_eq!((kept(&fs), contents(&machine(), &fs)), (Bytes::ZERO, before));
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO);
    // There is enough, and not enough for the ballast.
    assert!(machine().run(&fs).unwrap().is_idle());
    fs.unlink("/flood").unwrap();
    assert_eq!(story(&machine().run(&fs).unwrap()), ["restore_ballast"]);
    assert!(machine().run(&fs).unwrap().is_idle());
}

#[test]
fn without_room_for_it_none_is_made_and_nothing_goes_for_it() {
    let fs = disk(SimDisk::default(), RESERVE.plus(SIZE));
    let ran = machine().run(&fs).unwrap();
    assert!(!story(&ran).contains(&"restore_ballast") && !fs.exists(DIR), "{}", ran.story());
    assert!(ran.report.is_complete());
}

/// Others write between the plan and its last step.
#[test]
fn room_that_has_gone_meanwhile_is_not_taken() {
    let fs = disk(SimDisk::default(), Bytes::kib(300));
    let mut machine = Machine { config: at_rest(machine().config), ..machine() };
    fs.interrupt(
        |call| call.op == SimOp::Space && call.index > 8,
        |fs| {
            let rest = fs.free().minus(RESERVE);
            fs.put("/flood", Content::Fill(b'y', rest.get()), 0).unwrap();
        },
    );
    let ran = machine.run(&fs).unwrap();
    assert!(fs.exists("/flood") && ran.plan.steps.len() == 1, "{}", ran.story());
    assert!(matches!(&ran.report.outcomes[0], Outcome::Skipped(error) if error.is_no_space()));
    assert!(ran.report.is_complete() && !fs.exists(DIR));
}

#[test]
fn where_no_blocks_can_be_set_aside_they_are_written() {
    let fs = disk(SimDisk { allocates: false, ..SimDisk::default() }, Bytes::kib(300));
    let ran = machine().run(&fs).unwrap();
    assert!(story(&ran).contains(&"restore_ballast"), "{}", ran.story());
    let content = fs.content(BALLAST).unwrap();
    assert!(content.starts_with(TEXT) && content.len() as u64 == SIZE.get());
    assert!(kept(&fs) >= SIZE);
    assert!(!content[TEXT.len()..].chunks(64).any(|part| part.iter().all(|byte| *byte == 0)));
}

/// No file system gives less than a block, and its text has to be in it.
#[test]
fn one_that_is_smaller_than_a_block_or_its_text_is_made_once() {
    for (size, allocates) in [(1, true), (64, true), (64, false), (300, true), (4096, false)] {
        let fs = disk(SimDisk { allocates, ..SimDisk::default() }, Bytes::kib(300));
        let config = at_rest(machine().config).ballast(Bytes::new(size));
        let mut machine = Machine { config, ..machine() };
        assert_eq!(story(&machine.run(&fs).unwrap()), ["restore_ballast"], "{size}");
        let again = machine.run(&fs).unwrap();
        assert_eq!(again.plan.steps.len(), 0, "{size} {allocates}: {}", again.story());
        assert!(fs.content(BALLAST).unwrap().starts_with(TEXT));
    }
}

#[test]
fn h52_h53_a_crash_at_every_call_while_it_is_made_smaller_leaves_that_to_the_next_runs() {
    let fs = disk(SimDisk::default(), Bytes::kib(300));
    let of = |size| Machine { config: at_rest(machine().config).ballast(size), ..machine() };
    of(Bytes::kib(128)).run(&fs).unwrap();
    assert_eq!(kept(&fs), Bytes::kib(128));
    fs.record_images();
    assert_eq!(story(&of(SIZE).run(&fs).unwrap()), ["restore_ballast"]);
    assert_eq!(kept(&fs), SIZE);
    let images = fs.images();
    assert!(images.len() > 5, "{}", images.len());
    for image in images {
        for model in Unsynced::ALL {
            let after = image.reboot(model, image.call());
            of(SIZE).settle(&after, 3).unwrap();
            assert_eq!(kept(&after), SIZE, "{} {model:?}", image.call());
        }
    }
}

/// Root looks after the logs of a user who keeps one: whether it is made again is up to him.
#[test]
fn another_users_is_given_up_and_not_made_again_and_that_is_no_error() {
    let fs = full(SimDisk::default());
    for (path, mode) in [("/log", 0o750), (DIR, 0o700), (BALLAST, 0o600)] {
        fs.chown(path, mode, 33, 33).unwrap();
    }
    let mut machine = gentle();
    machine.config = at_rest(machine.config);
    machine.config.sets[0].policy.run_as = Some(Identity { uid: 33, gid: 33 });
    assert_eq!(story(&machine.run(&fs).unwrap()), ["release_ballast"]);
    assert!(fs.exists(DIR) && !fs.exists(BALLAST));
    fs.unlink("/flood").unwrap();
    let ran = machine.run(&fs).unwrap();
    assert!(ran.plan.steps.is_empty() && !ran.says_so(), "{}", ran.story());
    let told = |note: &Note| note.why.contains("another user keeps one, and it is released");
    assert!(ran.inventory.notes.iter().any(told), "{}", ran.story());
}

/// At any call, the logs lose nothing, and the runs behind that end where the uncut one ends.
#[test]
fn h52_h53_h56_a_crash_at_every_call_costs_no_log_and_the_next_runs_finish() {
    let shapes = [
        SimDisk::default(),
        SimDisk { copy_on_write: true, ..SimDisk::default() },
        SimDisk { allocates: false, ..SimDisk::default() },
    ];
    let mut tried = 0;
    for shape in shapes {
        // It is released; it is made; a half-made one is made whole.
        let scenes: [fn(SimDisk) -> SimFs; 3] = [
            full,
            |shape| disk(shape, Bytes::kib(300)),
            |shape| {
                let fs = disk(shape, Bytes::kib(300));
                fs.mkdir(DIR).unwrap();
                fs.chown(DIR, 0o700, 0, 0).unwrap();
                fs.put(BALLAST, Content::Bytes(TEXT.to_vec()), NOON).unwrap();
                fs.chown(BALLAST, 0o600, 0, 0).unwrap();
                fs.settle();
                fs
            },
        ];
        for (number, scene) in scenes.into_iter().enumerate() {
            let fs = scene(shape);
            // A reserve that the ballast alone can meet, so that no archive need go.
            let mut machine = if number == 0 { gentle() } else { machine() };
            let wanted = contents(&machine, &fs);
            fs.record_images();
            let ran = machine.run(&fs).unwrap();
            assert!(ran.report.is_complete(), "{}", ran.story());
            let is_kept = kept(&fs) >= SIZE;
            assert_eq!(is_kept, number > 0, "{}", ran.story());
            for image in &fs.images() {
                for model in Unsynced::ALL {
                    let case = format!("scene {number}, call {}, {model:?}", image.call());
                    let after = image.reboot(model, image.call());
                    tried += 1;
                    let first = machine.run(&after).unwrap();
                    for round in 0..4 {
                        let ran = machine.run(&after).unwrap();
                        if ran.is_idle() {
                            break;
                        }
                        assert!(round < 3, "{case}: {}", ran.story());
                    }
                    let found = contents(&machine, &after);
                    assert_eq!(found, wanted, "{case}: {}", first.story());
                    assert_eq!(kept(&after) >= SIZE, is_kept, "{case}: {}", first.story());
                }
            }
        }
    }
    println!("{tried} crashes");
}

/// With a reserve that is met once the ballast has gone.
fn gentle() -> Machine {
    let mut machine = machine();
    for set in &mut machine.config.sets {
        set.policy = set.policy.clone().reserve(Bytes::kib(8));
        set.policy.compress = None;
    }
    machine
}

#[test]
fn h54_h55_an_error_at_every_call_costs_no_log_and_leaves_nothing_that_is_not_known() {
    for fault in [Fault::NoSpace, Fault::Io, Fault::Access, Fault::ReadOnly] {
        for scene in [full(SimDisk::default()), disk(SimDisk::default(), Bytes::kib(300))] {
            let mut machine = Machine { config: at_rest(gentle().config), ..gentle() };
            let wanted = contents(&machine, &scene);
            let calls = {
                let fs = copy(&scene);
                let before = fs.calls();
                machine.run(&fs).unwrap();
                fs.calls() - before
            };
            for call in 1..=calls {
                let fs = copy(&scene);
                fs.fail_at(fs.calls() + call, fault, Times::Once);
                let first = machine.run(&fs);
                let seen = machine.scan(&fs).unwrap();
                let is_known =
                    |found: &BallastFound| !matches!(found, BallastFound::Foreign { .. });
                assert!(seen.ballasts.iter().all(|b| is_known(&b.found)), "{fault:?} at {call}");
                for _ in 0..3 {
                    machine.run(&fs).unwrap();
                }
                let last = machine.run(&fs).unwrap();
                assert!(last.is_idle(), "{fault:?} at {call}: {}", last.story());
                // An archive goes for the reserve, by the plan, where nobody can look for the ballast.
                let gone = first.map_or(0, |ran| {
                    let is_unseen = |p: &Problem| p.why.contains("no ballast is kept here");
                    let gone = story(&ran).iter().filter(|what| **what == "delete").count();
                    let is_told = ran.plan.problems.iter().any(is_unseen);
                    assert!(gone == 0 || is_told, "{fault:?} at {call}: {}", ran.story());
                    gone
                });
                let found = contents(&machine, &fs);
                assert_eq!(found.len() + gone, wanted.len(), "{fault:?} at {call}");
                let is_whole = |one: &Vec<u8>| wanted.contains(one);
                assert!(found.iter().all(is_whole) && !has_repeats(&found), "{fault:?} at {call}");
            }
        }
    }
}

/// The same disk once more.
fn copy(fs: &SimFs) -> SimFs {
    fs.reboot(Unsynced::Kept, 0)
}

#[test]
fn h57_what_is_not_ours_is_neither_deleted_nor_replaced() {
    type Change = fn(&SimFs);
    let changes: [(&str, Change); 7] = [
        ("other content", |fs| put(fs, b"somebody's notes", 0o600)),
        ("a wider mode", |fs| put(fs, TEXT, 0o640)),
        ("another owner", |fs| {
            put(fs, TEXT, 0o600);
            fs.chown(BALLAST, 0o600, 33, 33).unwrap();
        }),
        ("a link", |fs| fs.symlink("/log/a.log", BALLAST).unwrap()),
        ("another name", |fs| {
            put(fs, TEXT, 0o600);
            fs.hardlink(BALLAST, "/log/.logquota/b").unwrap();
        }),
        ("a folder of others", |fs| {
            put(fs, TEXT, 0o600);
            fs.chown(DIR, 0o777, 0, 0).unwrap();
        }),
        ("somebody's folder", |fs| {
            put(fs, TEXT, 0o600);
            fs.chown(DIR, 0o700, 33, 33).unwrap();
        }),
    ];
    for free in [Bytes::kib(300), Bytes::kib(4)] {
        for (what, change) in changes {
            let fs = disk(SimDisk::default(), free);
            fs.mkdir(DIR).unwrap();
            fs.chown(DIR, 0o700, 0, 0).unwrap();
            change(&fs);
            let before = fs.meta(BALLAST).unwrap().stamp;
            let ran = machine().run(&fs).unwrap();
            let is_about = |action: &Action| {
                matches!(action, Action::ReleaseBallast { .. } | Action::RestoreBallast { .. })
            };
            assert!(!ran.plan.steps.iter().any(|step| is_about(&step.action)), "{what}");
            assert_eq!(fs.meta(BALLAST).unwrap().stamp, before, "{what}");
            let told = ran.inventory.notes.iter().find(|note| note.why.contains("no ballast"));
            assert!(told.is_some_and(|note| note.is_error), "{what}: {}", ran.story());
        }
    }
}

fn put(fs: &SimFs, content: &[u8], mode: u32) {
    fs.put(BALLAST, Content::Bytes(content.to_vec()), NOON).unwrap();
    fs.chown(BALLAST, mode, 0, 0).unwrap();
}

#[test]
fn h20_another_file_in_its_place_is_left_alone() {
    let fs = full(SimDisk::default());
    fs.interrupt(
        |call| call.op == SimOp::Space && call.path.ends_with(".logquota"),
        |fs| {
            fs.unlink(BALLAST).unwrap();
            put(fs, b"somebody's notes", 0o600);
        },
    );
    let ran = machine().run(&fs).unwrap();
    assert!(matches!(ran.report.outcomes[0], Outcome::Skipped(_)), "{}", ran.story());
    assert_eq!(fs.content(BALLAST).unwrap(), b"somebody's notes");
}
