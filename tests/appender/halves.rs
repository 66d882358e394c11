//! Archives that another program compresses in place.

use logquota::Bytes;
use logquota::fs::sim::Content;
use logquota::naming::head_name;

use crate::kit::Kit;

#[test]
fn half_an_archive_counts_and_is_left_to_who_began_it() {
    let mut kit = Kit::new();
    let name = "app.log.0000000001-20261121T100000Z";
    let head = head_name(format!("{name}.zst").as_ref());
    let paths = [format!("/log/{name}"), format!("/log/{}", head.to_string_lossy())];
    let now = kit.clock.seconds();
    for path in &paths {
        kit.fs.put(path, Content::Bytes(vec![7; 20 << 10]), now - 100).expect("room");
    }
    let quota = Bytes::kib(100);
    kit.fs.assert_used_at_most(quota);
    let log = kit.builder().quota(quota).compress(logquota::Codec::Zstd).open().expect("a log");
    kit.flood(&log, 3000);
    log.maintain();
    assert_eq!(kit.fs.exceeded(), None);
    assert!(log.stats().evicted_files > 0);
    for path in &paths {
        assert_eq!(kit.fs.content(path).expect("it stays"), vec![7; 20 << 10]);
    }
}
