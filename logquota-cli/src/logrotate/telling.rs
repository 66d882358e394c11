//! Says what happens as it happens, in logrotate's words and order: each block's rules and
//! logs before its first act, each act before it is done, and what failed after it.

use std::collections::HashSet;

use logquota::apply::Outcome;
use logquota::plan::{Action, Hook, Step};

use super::acts;
use super::blocks;
use super::scene::Scene;
use super::voice::Voice;

/// How far the run is.
pub(super) struct Telling<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) voice: &'a mut Voice,
    debug: bool,
    /// The first block of which nothing was said yet.
    next: usize,
    /// Logs whose first act was announced.
    opened: HashSet<(usize, usize)>,
    /// Steps that were done.
    done: Vec<bool>,
    /// The last step that was announced.
    announced: Option<usize>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(scene: Scene<'a>, debug: bool, voice: &'a mut Voice) -> Self {
        let done = vec![false; scene.plan.steps.len()];
        Self { scene, voice, debug, next: 0, opened: HashSet::new(), done, announced: None }
    }

    /// All that would be done.
    pub(super) fn rehearse(&mut self) {
        for index in 0..self.scene.plan.steps.len() {
            self.before(index);
            self.after(index, &Outcome::Done);
        }
    }

    /// A step comes next.
    pub(super) fn before(&mut self, index: usize) {
        let plan = self.scene.plan;
        let Some(step) = plan.steps.get(index) else { return };
        self.announced = Some(index);
        self.introduce_up_to(step.set);
        let is_reachable = step.needs.iter().all(|need| self.done.get(*need) == Some(&true));
        if !self.voice.is_heard() || !is_reachable {
            return;
        }
        self.open(step);
        if let Some(lines) = acts::before(&self.scene, step, self.debug) {
            self.voice.say(&lines);
        }
    }

    /// It has ended.
    pub(super) fn after(&mut self, index: usize, outcome: &Outcome) {
        let plan = self.scene.plan;
        let Some(step) = plan.steps.get(index) else { return };
        // Compressions that run side by side end in any order, and nobody says when they begin.
        if self.announced != Some(index) && !matches!(outcome, Outcome::NotReached) {
            self.before(index);
        }
        match outcome {
            Outcome::Done => {
                if let Some(done) = self.done.get_mut(index) {
                    *done = true;
                }
            }
            Outcome::Skipped(error) | Outcome::Failed(error) => {
                for line in acts::failure(&self.scene, step, error) {
                    self.voice.error(&line);
                }
            }
            _ => {}
        }
    }

    /// Nothing more will be done: the blocks without acts at the end.
    pub(super) fn finish(&mut self) {
        self.introduce_up_to(self.scene.config.sets.len());
    }

    fn introduce_up_to(&mut self, set: usize) {
        while self.next <= set && self.next < self.scene.config.sets.len() {
            blocks::introduce(&self.scene, self.next, self.voice);
            self.next = self.next.saturating_add(1);
        }
    }

    /// Before the first act on a log that is due.
    fn open(&mut self, step: &Step) {
        let Some(log) = step.log else { return };
        let place = (step.set, log);
        let is_shared = matches!(step.action, Action::RunHook { hook: Hook::First, .. });
        if !is_shared
            && self.scene.due.contains_key(&place)
            && self.opened.insert(place)
            && let Some(lines) = acts::opening(&self.scene, step)
        {
            self.voice.say(&lines);
        }
    }
}
