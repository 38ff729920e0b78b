package ai.onnxruntime;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

public class OrtSession implements AutoCloseable {
  private final Pipe.Opened opened;
  private boolean closed;

  OrtSession(String modelPath, SessionOptions options) throws OrtException {
    options.checkClosed();
    opened = Pipe.session(modelPath, options.threads);
  }

  public Map<String, NodeInfo> getInputInfo() throws OrtException {
    checkClosed();
    return opened.inputs;
  }

  public Map<String, NodeInfo> getOutputInfo() throws OrtException {
    checkClosed();
    return opened.outputs;
  }

  public OnnxModelMetadata getMetadata() throws OrtException {
    return opened.metadata;
  }

  public Result run(Map<String, ? extends OnnxTensorLike> inputs) throws OrtException {
    checkClosed();
    for (Map.Entry<String, ? extends OnnxTensorLike> input : inputs.entrySet()) {
      input.getValue().checkClosed();
      if (!opened.inputs.containsKey(input.getKey())) {
        throw new OrtException("Unknown input name " + input.getKey());
      }
    }
    return new Result(Pipe.run(opened.handle, inputs));
  }

  @Override
  public void close() throws OrtException {
    checkClosed();
    closed = true;
    Pipe.free(opened.handle);
  }

  private void checkClosed() {
    if (closed) {
      throw new IllegalStateException("the session is closed");
    }
  }

  public static class SessionOptions implements AutoCloseable {
    int threads;
    private boolean closed;

    public SessionOptions() {}

    public void setIntraOpNumThreads(int numThreads) throws OrtException {
      checkClosed();
      threads = numThreads;
    }

    @Override
    public void close() {
      checkClosed();
      closed = true;
    }

    void checkClosed() {
      if (closed) {
        throw new IllegalStateException("the options are closed");
      }
    }
  }

  public static class Result implements AutoCloseable, Iterable<Map.Entry<String, OnnxValue>> {
    private final Map<String, OnnxValue> map;
    private boolean closed;

    Result(Map<String, OnnxValue> map) {
      this.map = new LinkedHashMap<>(map);
    }

    @Override
    public void close() {
      if (!closed) {
        closed = true;
        for (OnnxValue value : map.values()) {
          value.close();
        }
      }
    }

    @Override
    public Iterator<Map.Entry<String, OnnxValue>> iterator() {
      checkClosed();
      return map.entrySet().iterator();
    }

    public Optional<OnnxValue> get(String key) {
      checkClosed();
      return Optional.ofNullable(map.get(key));
    }

    private void checkClosed() {
      if (closed) {
        throw new IllegalStateException("Result is closed");
      }
    }
  }
}
