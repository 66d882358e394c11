//! What files have besides owner and mode: access control lists, labels, other attributes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use logquota::fs::os::OsFs;
use logquota::fs::{Attributes, ReadFs as _, WriteFs as _};
use logquota_tests::mounts::{Mount, needs, needs_root, system};
use logquota_tests::strace::{Strace, calls, needs_strace};
use rustix::fs::XattrFlags;

use crate::kill::{in_parallel, traced};
use crate::kit::{
    HOUR, Scene, assert_code, file, files, listing, logquota, prose, said, was_killed,
};

const ACL: &str = "system.posix_acl_access";
const LABEL: &str = "security.selinux";
const LABELLED: &[u8] = b"system_u:object_r:app_log_t:s0\0";

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1000];
    let len = rustix::fs::getxattr(path, name, &mut buffer[..]).ok()?;
    buffer.truncate(len);
    Some(buffer)
}

/// A log for one user more, and not for its group.
fn log_with_list(path: &Path) {
    file(path, &prose("app", 20_000), HOUR);
    system("setfacl", ["-m", "u:65534:rw,g::-", path.to_str().expect("UTF-8")]);
    rustix::fs::setxattr(path, "user.note", b"kept", XattrFlags::empty()).expect("an attribute");
    rustix::fs::setxattr(path, LABEL, LABELLED, XattrFlags::empty()).expect("a label");
}

#[test]
fn acls_labels_and_attributes_are_those_of_the_log() {
    if needs_root() || needs(&["setfacl", "mkfs.ext4"]) {
        return;
    }
    for mount in [Mount::tmpfs("size=8m"), Mount::ext4(16, &[], "noatime")] {
        for (words, keeps_acl, keeps_note) in [
            ("create", [true, true], [false, true]),
            ("create 0600", [false, true], [false, true]),
            ("create\n compress", [true, true], [false, false]),
            ("create\n renamecopy", [true, true], [false, true]),
            ("copytruncate", [true, true], [true, true]),
            ("copytruncate\n compress", [true, true], [true, false]),
        ] {
            let scene = Scene::new();
            let logs = mount.folder(&words.replace(|c: char| !c.is_alphanumeric(), "-"));
            let log = logs.join("app.log");
            log_with_list(&log);
            let acl = attribute(&log, ACL).expect("a list");
            let args =
                scene.config(&logs, &format!("LOGS/*.log {{\n size 1k\n rotate 2\n {words}\n}}\n"));
            let output = logquota(&args);
            assert_code(&output, 0);
            let found = files(&logs);
            assert_eq!(found.len(), 2, "{words}: {}\n{}", said(&output), listing(&logs));
            for ((path, keeps_acl), keeps_note) in found.iter().zip(keeps_acl).zip(keeps_note) {
                let about = format!("{words}: {}", path.display());
                let wanted = keeps_acl.then_some(&acl);
                assert_eq!(attribute(path, ACL).as_ref(), wanted, "{about}");
                assert_eq!(attribute(path, LABEL).as_deref(), Some(LABELLED), "{about}");
                assert_eq!(attribute(path, "user.note").is_some(), keeps_note, "{about}");
                let mode = path.metadata().expect("its inode").mode() & 0o7777;
                assert_eq!(mode, if keeps_acl { 0o660 } else { 0o600 }, "{about}");
            }
        }
    }
}

#[test]
fn acls_make_a_file_never_wider_than_it_ends() {
    if needs_root() || needs(&["setfacl"]) || needs_strace() {
        return;
    }
    for words in ["create\n compress", "copytruncate\n compress"] {
        let config = format!("LOGS/*.log {{\n size 1k\n rotate 2\n {words}\n}}\n");
        let make = || {
            let scene = Scene::new();
            let logs = scene.logs();
            // Files made here would be for everybody, were it not for the log.
            let default = "d:u::rwx,d:g::rwx,d:o::rwx,d:u:1:rwx";
            system("setfacl", ["-m", default, logs.to_str().expect("UTF-8")]);
            let log = logs.join("app.log");
            log_with_list(&log);
            system("setfacl", ["-x", "u:1", log.to_str().expect("UTF-8")]);
            let acl = attribute(&log, ACL).expect("a list");
            let args = scene.config(&logs, &config);
            (scene, args, acl)
        };
        let check = |scene: &Scene, acl: &[u8], about: &str| {
            for path in files(&scene.logs()) {
                let mode = path.metadata().expect("its inode").mode() & 0o7777;
                let is_like_the_log = attribute(&path, ACL).as_deref() == Some(acl);
                let about = format!("{about}: {mode:o} {}", path.display());
                assert!(is_like_the_log || mode & 0o077 == 0, "{about}");
            }
        };
        let (scene, args, acl) = make();
        assert_code(&traced(&Strace::new().serial(), &scene, &args), 0);
        check(&scene, &acl, words);
        let of_interest = ["fchown", "fchmod", "fsetxattr", "fremovexattr", "fsync", "renameat2"];
        let cuts: Vec<_> = calls(&scene.path("trace"))
            .iter()
            .filter(|call| of_interest.contains(&&*call.name) || call.changes_files())
            .map(|call| (call.name.clone(), call.number))
            .collect();
        assert!(cuts.iter().any(|(name, _)| name == "fsetxattr"), "{cuts:?}");
        in_parallel(&cuts, |(call, number)| {
            let (scene, args, acl) = make();
            let output = traced(&Strace::new().serial().kill_at(call, *number), &scene, &args);
            assert!(was_killed(&output), "{call} {number}: {}", said(&output));
            check(&scene, &acl, &format!("{words}, killed at {call} {number}"));
        });
    }
}

#[test]
fn acls_that_a_file_system_has_not_leave_a_mode_that_is_no_wider() {
    if needs_root() || needs(&["setfacl"]) {
        return;
    }
    let (from, to) = (Mount::tmpfs("size=1m"), Mount::ramfs());
    let log = from.at().join("log");
    log_with_list(&log);
    assert_eq!(log.metadata().expect("it").mode() & 0o777, 0o660, "the group's bits are the mask");
    let os = OsFs::new();
    let (dir, to_dir) =
        (os.open_root(&from.at()).expect("it"), os.open_root(&to.at()).expect("it"));
    let source = os.read(dir, "log".as_ref()).expect("the log");
    let mut copy = os.create(to_dir, "copy".as_ref()).expect("a copy");
    copy.set_extended(&source.extended().expect("attributes")).expect("silently nothing");
    copy.write_all(b"content").expect("written");
    let attributes = Attributes { mode: Some(0o660), ..Attributes::default() };
    let acl = source.acl().expect("no error");
    copy.set_access(&attributes, acl.as_ref()).expect("silently none");
    assert_eq!(copy.meta().expect("a look").mode, 0o600);
    // And from there: nothing to be had, no error.
    fs::set_permissions(to.at().join("copy"), fs::Permissions::from_mode(0o640)).expect("mode");
    let source = os.read(to_dir, "copy".as_ref()).expect("readable");
    assert_eq!(source.acl().expect("no error"), None);
    assert_eq!(source.extended().expect("no error"), logquota::fs::Extended::default());
}
