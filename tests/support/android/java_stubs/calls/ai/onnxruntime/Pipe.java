package ai.onnxruntime;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Passes calls to a process with ONNX Runtime in Python, which keeps all tensors; here are their numbers. No part of the
 * library. The system property {@code onnx.pipe} is that process's command, its words between line ends.
 */
public final class Pipe {
  private static Process process;
  private static DataOutputStream out;
  private static DataInputStream in;

  private Pipe() {}

  static final class Opened {
    long handle;
    final Map<String, NodeInfo> inputs = new LinkedHashMap<>();
    final Map<String, NodeInfo> outputs = new LinkedHashMap<>();
    OnnxModelMetadata metadata;
  }

  private interface Body<T> {
    T run() throws IOException;
  }

  /** Tensors and sessions that have not been closed. */
  public static long open() {
    return unchecked("open", () -> null, () -> in.readLong());
  }

  static Opened session(String path, int threads) throws OrtException {
    return ask(
        "session",
        () -> {
          out.writeUTF(path);
          out.writeInt(threads);
          return null;
        },
        () -> {
          Opened opened = new Opened();
          opened.handle = in.readLong();
          Map<String, String> metadata = new LinkedHashMap<>();
          for (int left = in.readInt(); left > 0; left--) {
            metadata.put(in.readUTF(), in.readUTF());
          }
          opened.metadata = new OnnxModelMetadata(metadata);
          nodes(opened.inputs);
          nodes(opened.outputs);
          return opened;
        });
  }

  static long tensor(TensorInfo info, byte[] bytes) throws OrtException {
    return ask(
        "tensor",
        () -> {
          out.writeUTF(info.type.name());
          out.writeInt(info.shape.length);
          for (long length : info.shape) {
            out.writeLong(length);
          }
          out.writeInt(bytes.length);
          out.write(bytes);
          return null;
        },
        () -> in.readLong());
  }

  static byte[] read(long handle) {
    return unchecked(
        "read",
        () -> {
          out.writeLong(handle);
          return null;
        },
        () -> {
          byte[] bytes = new byte[in.readInt()];
          in.readFully(bytes);
          return bytes;
        });
  }

  static void free(long handle) {
    unchecked(
        "free",
        () -> {
          out.writeLong(handle);
          return null;
        },
        () -> null);
  }

  static Map<String, OnnxValue> run(long session, Map<String, ? extends OnnxTensorLike> inputs) throws OrtException {
    return ask(
        "run",
        () -> {
          out.writeLong(session);
          out.writeInt(inputs.size());
          for (Map.Entry<String, ? extends OnnxTensorLike> input : inputs.entrySet()) {
            out.writeUTF(input.getKey());
            out.writeLong(input.getValue().getNativeHandle());
          }
          return null;
        },
        () -> {
          Map<String, OnnxValue> made = new LinkedHashMap<>();
          for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            made.put(name, new OnnxTensor(in.readLong(), info()));
          }
          return made;
        });
  }

  private static void nodes(Map<String, NodeInfo> into) throws IOException {
    for (int left = in.readInt(); left > 0; left--) {
      String name = in.readUTF();
      into.put(name, new NodeInfo(name, info()));
    }
  }

  private static TensorInfo info() throws IOException {
    OnnxJavaType type = OnnxJavaType.valueOf(in.readUTF());
    long[] shape = new long[in.readInt()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = in.readLong();
    }
    return new TensorInfo(shape, type);
  }

  private static <T> T unchecked(String what, Body<?> write, Body<T> read) {
    try {
      return ask(what, write, read);
    } catch (OrtException error) {
      throw new IllegalStateException(error);
    }
  }

  private static synchronized <T> T ask(String what, Body<?> write, Body<T> read) throws OrtException {
    try {
      begin();
      out.writeUTF(what);
      write.run();
      out.flush();
      String error = in.readUTF();
      if (!error.isEmpty()) {
        throw new OrtException(error);
      }
      return read.run();
    } catch (IOException error) {
      throw new IllegalStateException("the process with the runtime has gone", error);
    }
  }

  private static void begin() throws IOException {
    if (process == null) {
      String[] words = System.getProperty("onnx.pipe").split("\n");
      process = new ProcessBuilder(words).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      out = new DataOutputStream(new BufferedOutputStream(process.getOutputStream(), 1 << 20));
      in = new DataInputStream(new BufferedInputStream(process.getInputStream(), 1 << 20));
    }
  }
}
