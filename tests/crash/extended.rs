//! Access control lists at every instant.

use logquota::fs::sim::{Content, SimDisk, SimFs, Unsynced};
use logquota::fs::{Acl, Extended};
use logquota::policy::{Method, NewFile};
use logquota::{Bytes, Codec, Config, Policy, SetSpec};
use logquota_tests::sandbox::{Machine, NOON};

/// A list, and the label and attributes that are its log's.
fn of_the_log() -> (Option<Acl>, Extended) {
    // Its owner, and user 7.
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, perm, id) in
        [(1, 6, u32::MAX), (2, 6, 7), (4, 0, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        bytes.extend([tag, 0, perm, 0]);
        bytes.extend(u32::to_le_bytes(id));
    }
    let others = vec![("user.note".into(), b"kept".to_vec())];
    (Acl::from_bytes(&bytes), Extended { label: Some(b"a:b:c:s0\0".to_vec()), others })
}

#[test]
fn what_stands_for_a_log_has_its_list_or_is_for_its_owner_alone() {
    for (method, mode) in
        [(Method::Rename, None), (Method::Rename, Some(0o600)), (Method::CopyTruncate, None)]
    {
        let fs = SimFs::new(SimDisk::default());
        fs.set_time(NOON);
        let (acl, extended) = of_the_log();
        assert!(acl.is_some());
        fs.mkdir("/d").unwrap();
        fs.put("/d/app.log", Content::Fill(b'x', 5000), NOON - 60).unwrap();
        fs.chown("/d/app.log", 0o660, 3, 4).unwrap();
        fs.set_extended("/d/app.log", acl.clone(), extended.clone()).unwrap();
        let mut policy = Policy::default().rotate_at(Bytes::new(512)).keep_count(3);
        policy.method = method;
        let create = NewFile { mode, uid: None, gid: None };
        policy.create = (method == Method::Rename).then_some(create);
        let compressed = policy.clone().compress(Codec::Gzip);
        for policy in [policy, compressed] {
            let fs = fs.reboot(Unsynced::Kept, 0);
            fs.record_images();
            let mut machine = Machine::new(Config::single(SetSpec::pattern("/d/*.log", policy)));
            let ran = machine.run(&fs).unwrap();
            assert!(ran.report.is_complete(), "{}", ran.story());
            let about = format!("{method:?} {mode:?} {}", ran.story());
            // Whatever was made by then has all or is closed.
            let models = [Unsynced::Kept, Unsynced::Dropped, Unsynced::Torn];
            for (image, model) in fs.images().iter().flat_map(|i| models.map(|model| (i, model))) {
                let after = image.reboot(model, image.call());
                for (path, entry) in after.snapshot() {
                    let Ok((found, _)) = after.extended(&path) else { continue };
                    let is_open = entry.mode & 0o077 != 0;
                    let about = format!("{about}\n{} {model:?} {}", path.display(), image.call());
                    assert!(found == acl || !is_open, "{about}");
                }
            }
            // In the end.
            for (path, _) in fs.snapshot() {
                let Ok((found, what)) = fs.extended(&path) else { continue };
                let path = path.to_str().unwrap();
                let is_new = path == "/d/app.log" && method == Method::Rename;
                assert_eq!(found.is_some(), !is_new || mode.is_none(), "{path} {about}");
                assert_eq!(what.label, extended.label, "{path} {about}");
                let is_copy = !is_new && !path.ends_with(".gz");
                assert_eq!(what.others, if is_copy { extended.others.clone() } else { vec![] });
            }
        }
    }
}
