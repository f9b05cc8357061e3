#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mesos_conductor_proto_fuzz::run("notification", input));
