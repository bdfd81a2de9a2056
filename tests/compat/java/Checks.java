import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;

/** What the Java programs share: counting checks, and the records that they send. */
final class Checks {
    private static int failed;

    private Checks() {}

    static void equal(String name, Object expected, Object found) {
        if (Objects.equals(expected, found)) {
            System.out.println("ok      " + name);
            return;
        }
        failed++;
        System.out.println("FAILED  " + name + ": expected " + shortened(expected) + ", found " + shortened(found));
    }

    /** The action must fail with this error of the protocol, or with an exception of this name. */
    static void fails(String name, String expected, Callable<?> action) {
        equal(name, expected, errorOf(action));
    }

    static String errorOf(Callable<?> action) {
        try {
            return "no error, but " + action.call();
        } catch (Exception thrown) {
            Throwable cause = thrown instanceof ExecutionException && thrown.getCause() != null ? thrown.getCause() : thrown;
            Errors error = Errors.forException(cause);
            return error == Errors.UNKNOWN_SERVER_ERROR ? cause.getClass().getSimpleName() : error.name();
        }
    }

    static void finish() {
        System.exit(failed == 0 ? 0 : 1);
    }

    private static String shortened(Object value) {
        String text = String.valueOf(value);
        return text.length() <= 400 ? text : text.substring(0, 400) + "...";
    }

    /** A record as it is sent and has to come back; byte arrays as lists, so that records can be compared. */
    record Sent(List<Byte> key, List<Byte> value, List<List<Object>> headers, long timestamp) {}

    static Sent sent(byte[] key, byte[] value, Iterable<Header> headers, long timestamp) {
        List<List<Object>> all = new ArrayList<>();
        headers.forEach(header -> all.add(Arrays.asList(header.key(), listOf(header.value()))));
        return new Sent(listOf(key), listOf(value), all, timestamp);
    }

    private static List<Byte> listOf(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        List<Byte> list = new ArrayList<>(bytes.length);
        for (byte one : bytes) {
            list.add(one);
        }
        return list;
    }

    /** Null keys and values, empty and binary values by index. */
    static byte[] key(int index) {
        return index % 7 == 3 ? null : ("key-" + index % 10).getBytes();
    }

    static byte[] value(int index, String codec) {
        if (index % 11 == 5) {
            return null;
        }
        if (index % 13 == 6) {
            return new byte[0];
        }
        byte[] value = new byte[index % 300 + codec.length()];
        for (int place = 0; place < index % 300; place++) {
            value[place] = (byte) (index * 31 + place);
        }
        System.arraycopy(codec.getBytes(), 0, value, index % 300, codec.length());
        return value;
    }
}
