//! The fuzz targets on stable: every input of the corpora, and mutations of them that are the
//! same in every run.

use std::fs;
use std::path::PathBuf;

use logquota_tests::{fuzz_config, fuzz_names, fuzz_plan};

/// Mutations per target.
const MUTATIONS: usize = 7_000;

#[test]
fn configurations_of_the_corpus_and_their_mutations_hold_what_is_promised() {
    replay("config", fuzz_config::fuzz_config);
}

#[test]
fn state_files_of_the_corpus_and_their_mutations_hold_what_is_promised() {
    replay("state", fuzz_config::fuzz_state);
}

#[test]
fn archive_names_of_the_corpus_and_their_mutations_hold_what_is_promised() {
    replay("archive_name", fuzz_names::fuzz_names);
}

#[test]
fn plan_files_of_the_corpus_and_their_mutations_hold_what_is_promised() {
    replay("plan_file", fuzz_plan::fuzz_plan);
}

fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 5, "the corpus of {target} is missing");
    for input in &corpus {
        run(input);
    }
    let mut random = Random(0x5eed);
    for _ in 0..MUTATIONS {
        run(&mutated(&corpus, &mut random));
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("an entry of the corpus").path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("an input of the corpus")).collect()
}

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }
}

/// One input with a few bytes changed, cut, doubled, or joined with a piece of another.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const STRANGE: &[u8] = b"\0\n\r\t \"'\\{}#=~/*?[]%-+0179.kMG\x1b\x7f\xff\xc3";
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.insert(at, STRANGE[random.below(STRANGE.len())]),
            1 => input.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
            2 if at < input.len() => input[at] = STRANGE[random.below(STRANGE.len())],
            3 => input.truncate(at),
            4 => {
                let end = (at + random.below(40)).min(input.len());
                input.drain(at..end);
            }
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(60)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    input
}
