//! Random configurations on random trees over ten days. Each is written as a case, so that one
//! that fails can be read, and kept in a file of cases.
//!
//! Left out is what the two are known to do differently: where 3.21 is older than what ours
//! follows (it runs `prerotate` behind the old copies, so there is none with `preremove` or
//! `dateext`), where ours keeps what the original loses or does not fail, and logs whose copies have
//! the same names. Cases of their own tell of those. With `LOGQUOTA_LONG` there are 2,000.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use logquota_tests::mounts::needs;
use logquota_tests::tree::Dice;

use crate::case::cases;
use crate::compare::{THREADS, Under, is_wanted, judge, skipped};

/// Days that a case lasts. They go over the end of a month.
const DAYS: u32 = 10;

/// The first of them, a Monday.
const FIRST: u32 = 23;

const PATHS: [&[&str]; 5] = [
    &["app.log"],
    &["app.log", "db.log"],
    &["sys", "sys.log", "z.txt"],
    &["a b.log", "c.log"],
    &["x-y.log", "x.log", "x", "w.log"],
];

#[test]
fn random_configurations_leave_the_same_trees_for_ten_days() {
    if skipped() || needs(&["faketime"]) {
        return;
    }
    let (first, count) = match std::env::var("LOGQUOTA_SEED") {
        Ok(seed) => (seed.parse().expect("LOGQUOTA_SEED is a number"), 1),
        Err(_) if std::env::var_os("LOGQUOTA_LONG").is_some() => (0, 2000),
        // Alone, nothing is compared: a few show that the cases can be run.
        Err(_) if Under::test() != Under::Both => (0, 10),
        Err(_) => (0, 100),
    };
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Err(failure) = check(seed) {
                        failures.lock().expect("no panic").push((seed, failure));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort();
    let texts: String = failures.iter().map(|(_, text)| format!("{text}\n")).collect();
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(seeds.is_empty(), "{texts}{} seeds differ: {seeds:?}", seeds.len());
}

fn check(seed: u64) -> Result<(), String> {
    let text = Generator::new(seed).case(seed);
    let case = cases(&text).remove(0);
    if !is_wanted(&case.name) {
        return Ok(());
    }
    judge(&case).map_err(|failure| format!("LOGQUOTA_SEED={seed}:{text}\n{failure}"))
}

/// A block of the configuration, and what it needs to know of itself.
#[derive(Default)]
struct Block {
    lines: Vec<String>,
    logs: Vec<String>,
    compress: bool,
    dated: Option<&'static str>,
    start: u64,
}

struct Generator {
    dice: Dice,
    /// Whether mail is sent or a file shredded anywhere: even with `-d` the original sends some,
    /// and opens files that it would have made.
    is_heard: bool,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), is_heard: false }
    }

    fn maybe(&mut self, chance: u64) -> bool {
        self.dice.once_in(chance)
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        self.dice.pick(from)
    }

    fn case(&mut self, seed: u64) -> String {
        let mut text = format!("\n== generated_{seed}\nat 2026-11-{FIRST} 12:34:56\n");
        let blocks: Vec<Block> =
            (0..=self.dice.below(3)).map(|number| self.block(number)).collect();
        let mut conf = String::from("conf\n");
        for _ in 0..self.dice.below(3) {
            let line =
                self.pick(&["missingok", "notifempty", "weekly", "daily", "rotate 3", "create"]);
            let _ = writeln!(conf, "    {line}");
        }
        for block in &blocks {
            for line in &block.lines {
                let _ = writeln!(conf, "    {line}");
            }
        }
        for block in &blocks {
            text += &self.tree(block);
        }
        text += &conf;
        text += &self.state(&blocks);
        for day in 0..DAYS {
            text += &self.day(day, &blocks);
        }
        text
    }

    fn block(&mut self, number: u64) -> Block {
        let mut block = Block::default();
        let dir = format!("b{number}");
        let logs = self.dice.pick(&PATHS);
        block.logs = logs.iter().map(|log| format!("{dir}/{log}")).collect();
        let wild = self.maybe(3) && logs.iter().all(|log| log.ends_with(".log"));
        let paths: Vec<String> = if wild {
            vec![format!("@/{dir}/*.log")]
        } else {
            block.logs.iter().map(|log| format!("\"@/{log}\"")).collect()
        };
        let separator = if self.maybe(4) { "\n    " } else { " " };
        let mut lines = vec![format!("{} {{", paths.join(separator))];
        self.criterion(&mut lines);
        let rotate = self.dice.below(8);
        match rotate {
            0 => {}
            7 => lines.push("rotate -1".to_owned()),
            some => lines.push(format!("rotate {some}")),
        }
        // With -1, the original loses the highest copy of those that start at 0.
        if self.maybe(4) && rotate != 7 {
            block.start = self.dice.below(3);
            lines.push(format!("start {}", block.start));
        }
        self.names(&mut block, &mut lines, &dir);
        // Without copies to be kept, 3.21 makes none, and then misses it.
        let methods =
            ["copytruncate", "copy", "renamecopy", "create", "create 640 root adm", "nocreate"];
        let method = self.pick(&methods);
        if rotate != 0 || method.contains("create") {
            lines.push(method.to_owned());
        }
        if self.maybe(2) {
            block.compress = true;
            lines.push("compress".to_owned());
            if self.maybe(2) {
                lines.push("delaycompress".to_owned());
            }
        }
        self.rest(&mut lines);
        lines.push("}".to_owned());
        let inside = lines.len() - 1;
        for (index, line) in lines.iter_mut().enumerate() {
            if index != 0 && index != inside {
                line.insert_str(0, "    ");
            }
        }
        block.lines = lines;
        block
    }

    fn criterion(&mut self, lines: &mut Vec<String>) {
        let line = self.pick(&[
            "daily", "daily", "weekly", "weekly 3", "weekly 7", "monthly", "yearly", "hourly",
            "size 10", "size 1k", "",
        ]);
        lines.push(line.to_owned());
        for (name, most) in [("maxsize", 40), ("minsize", 30), ("minage", 3), ("maxage", 8)] {
            if self.maybe(6) {
                lines.push(format!("{name} {}", self.dice.below(most)));
            }
        }
    }

    fn names(&mut self, block: &mut Block, lines: &mut Vec<String>, dir: &str) {
        if self.maybe(3) {
            // Those without the day would meet themselves on the next one.
            let formats = ["-%Y%m%d", ".%Y-%m-%d", "-%d%m%Y", "_%Y%m%d-%H", "-%s"];
            let format = self.pick(&formats);
            block.dated = Some(format);
            lines.push("dateext".to_owned());
            if format != "-%Y%m%d" || self.maybe(2) {
                lines.push(format!("dateformat {format}"));
            }
            if self.maybe(4) {
                lines.push(self.pick(&["dateyesterday", "datehourago"]).to_owned());
            }
        }
        if self.maybe(5) {
            let line = self.pick(&["extension .log", "addextension .old", "extension .txt"]);
            // With a wildcard, copies are logs, too. Not where their turns come behind that of their
            // log, which may have removed them; nor by age: new files are of the machine's time.
            let is_else = |line: &String| line.contains(" _%Y") || line.starts_with("maxage");
            let is_unlike = lines[0].contains('*') && lines.iter().any(is_else);
            if line != "extension .log" || !is_unlike {
                lines.push(line.to_owned());
            }
        }
        if self.maybe(6) {
            lines.push(format!("olddir @/{dir}/old\n    createolddir 755"));
        }
    }

    fn rest(&mut self, lines: &mut Vec<String>) {
        // A log that is missing stops a block with shared scripts, which 3.21 does half.
        lines.push("missingok".to_owned());
        for line in ["notifempty", "ifempty", "sharedscripts", "shred"] {
            let has = |word: &str| lines.iter().any(|line| line == word);
            // Yesterday's copy is there, and then 3.21 moves the old ones all the same. And of a
            // copy that is a due log, too, it first moves the copy, and then misses the log.
            let is_older = line == "sharedscripts"
                && (has("dateyesterday") || (has("extension .log") && lines[0].contains('*')));
            if self.maybe(4) && !is_older {
                self.is_heard |= line == "shred";
                lines.push(line.to_owned());
            }
        }
        for line in ["+firstaction", "+prerotate", "+postrotate", "+lastaction", "+preremove"] {
            let has = |word: &str| lines.iter().any(|line| line == word);
            let is_older = match line {
                "+prerotate" => has("dateext"),
                "+preremove" => has("+prerotate"),
                _ => false,
            };
            if self.maybe(3) && !is_older {
                lines.push(line.to_owned());
            }
        }
        if self.maybe(8) {
            lines.push(self.pick(&["+firstaction exit 1", "+lastaction exit 1"]).to_owned());
        }
        if self.maybe(5) {
            self.is_heard = true;
            lines.push("mail root@here".to_owned());
            // With `rotate 0`, the original unpacks what `delaycompress` has left plain.
            let is_unpacked = lines.iter().any(|line| line == "delaycompress")
                && !lines.iter().any(|line| line.starts_with("rotate"));
            if self.maybe(2) || is_unpacked {
                lines.push("mailfirst".to_owned());
            }
        }
    }

    /// Logs, and copies of the kind that the block makes: others are overwritten by the original
    /// when they are in the way.
    fn tree(&mut self, block: &Block) -> String {
        let mut text = String::new();
        let end = if block.compress { ".gz" } else { "" };
        for log in &block.logs {
            if !self.maybe(6) {
                let size = self.dice.below(60);
                let age = self.dice.below(9);
                let _ = writeln!(text, "file '{log}' size={size} age={age}d");
            }
            for back in 0..self.dice.below(7) {
                if self.maybe(4) {
                    continue;
                }
                let age = back + 1 + self.dice.below(4);
                let name = match block.dated {
                    Some(format) => format!("{log}<-{}d {format}>", back + 1),
                    None => format!("{log}.{}", block.start + back),
                };
                // Its own name would be a number; but its content must be its own.
                let _ = writeln!(text, "file '{name}{end}' age={age}d");
            }
        }
        text
    }

    fn state(&mut self, blocks: &[Block]) -> String {
        if self.maybe(3) {
            return String::new();
        }
        let mut text = String::from("state\n");
        for log in blocks.iter().flat_map(|block| &block.logs) {
            if !self.maybe(4) {
                let hours = self.dice.below(24 * 40);
                let _ = writeln!(text, "    @/{log} -{hours}h");
            }
        }
        text
    }

    fn day(&mut self, day: u32, blocks: &[Block]) -> String {
        let date = FIRST + day;
        let date = if date > 30 { format!("12-{:02}", date - 30) } else { format!("11-{date}") };
        let mut text = format!("at 2026-{date} 12:34:56\n");
        for log in blocks.iter().flat_map(|block| &block.logs) {
            match self.dice.below(8) {
                0..4 => {
                    let size = self.dice.below(200);
                    let _ = writeln!(
                        text,
                        "file '{log}' age=0d = {} {}",
                        date,
                        "x".repeat(size as usize)
                    );
                }
                4 => {
                    let _ = writeln!(text, "file '{log}' age=0d =");
                }
                _ => {}
            }
        }
        let flags = match self.dice.below(12) {
            0 | 1 => "-f",
            2 if !self.is_heard => "-d",
            _ => "",
        };
        let _ = writeln!(text, "run {flags}");
        text
    }
}
