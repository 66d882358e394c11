//! What of a configuration is not done on the disk of another machine: nothing that it names is
//! run here.

use super::Config;

impl Config {
    /// Takes out everything that would run a script or program that the configuration names, and
    /// says what that was: the directive, and the set. What such a program has compressed is
    /// still known as an archive, and what it would have compressed stays as it is.
    pub fn forget_programs(&mut self) -> Vec<(&'static str, String)> {
        let mut forgotten = Vec::new();
        for set in &mut self.sets {
            let policy = &mut set.policy;
            let scripts = std::mem::take(&mut policy.scripts);
            let named = [
                ("firstaction", scripts.first.is_some()),
                ("prerotate", scripts.pre.is_some()),
                ("postrotate", scripts.post.is_some()),
                ("lastaction", scripts.last.is_some()),
                ("preremove", scripts.pre_remove.is_some()),
                ("mail", policy.mail.take().is_some()),
                ("compresscmd", policy.compress.take_if(|c| c.program.is_some()).is_some()),
            ];
            let named = named.into_iter().filter(|(_, is_there)| *is_there);
            forgotten.extend(named.map(|(directive, _)| (directive, set.name.clone())));
        }
        forgotten
    }
}
