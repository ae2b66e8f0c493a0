// Classify events with a network that `cdmtrain task=export takes=hits` wrote.
//
//     classify network.onnx < hits.txt
//
// reads one hit a line, "event row column energy_mev", with events counted from 0, and prints one event a line: its
// number, the most probable particle, and the probability of each class.
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

const OrtApi& ort = *OrtGetApiBase()->GetApi(ORT_API_VERSION);

void check(OrtStatus* status) {
    if (!status) return;
    std::string message = ort.GetErrorMessage(status);
    ort.ReleaseStatus(status);
    throw std::runtime_error(message);
}

struct Hits {
    std::vector<int64_t> event, pixel;
    std::vector<float> energy;
};

class Network {
public:
    explicit Network(const char* path) {
        check(ort.CreateEnv(ORT_LOGGING_LEVEL_ERROR, "classify", &env_));
        check(ort.CreateSessionOptions(&options_));
        check(ort.SetIntraOpNumThreads(options_, 1));
        check(ort.CreateSession(env_, path, options_, &session_));
        check(ort.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory_));
        image_size = std::stoll(metadata("image_size"));
        std::istringstream names(metadata("classes"));  // ["electron", "muon", ...]
        for (std::string part; std::getline(names, part, '"');)
            if (part.find_first_of("[],") == std::string::npos) classes.push_back(part);
    }

    ~Network() {
        ort.ReleaseMemoryInfo(memory_);
        ort.ReleaseSession(session_);
        ort.ReleaseSessionOptions(options_);
        ort.ReleaseEnv(env_);
    }

    // The probabilities of num_events events, one row each.
    std::vector<float> probabilities(Hits& hits, int64_t num_events) const {
        const char* names[] = {"event", "pixel", "energy", "num_events"};
        const char* output[] = {"probabilities"};
        const int64_t length[] = {static_cast<int64_t>(hits.event.size())};
        OrtValue* inputs[] = {
            tensor(hits.event.data(), hits.event.size() * sizeof(int64_t), length, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64),
            tensor(hits.pixel.data(), hits.pixel.size() * sizeof(int64_t), length, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64),
            tensor(hits.energy.data(), hits.energy.size() * sizeof(float), length, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
            tensor(&num_events, sizeof(int64_t), nullptr, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64)};
        OrtValue* result = nullptr;
        check(ort.Run(session_, nullptr, names, inputs, 4, output, 1, &result));
        float* values = nullptr;
        check(ort.GetTensorMutableData(result, reinterpret_cast<void**>(&values)));
        std::vector<float> found(values, values + num_events * classes.size());
        ort.ReleaseValue(result);
        for (OrtValue* input : inputs) ort.ReleaseValue(input);
        return found;
    }

    int64_t image_size = 0;
    std::vector<std::string> classes;

private:
    OrtValue* tensor(void* data, size_t bytes, const int64_t* shape, size_t axes, ONNXTensorElementDataType type) const {
        OrtValue* value = nullptr;
        check(ort.CreateTensorWithDataAsOrtValue(memory_, data, bytes, shape, axes, type, &value));
        return value;
    }

    std::string metadata(const char* key) const {
        OrtModelMetadata* all = nullptr;
        OrtAllocator* allocator = nullptr;
        char* value = nullptr;
        check(ort.SessionGetModelMetadata(session_, &all));
        check(ort.GetAllocatorWithDefaultOptions(&allocator));
        check(ort.ModelMetadataLookupCustomMetadataMap(all, allocator, key, &value));
        std::string text = value ? value : "";
        if (value) check(ort.AllocatorFree(allocator, value));
        ort.ReleaseModelMetadata(all);
        return text;
    }

    OrtEnv* env_ = nullptr;
    OrtSessionOptions* options_ = nullptr;
    OrtSession* session_ = nullptr;
    OrtMemoryInfo* memory_ = nullptr;
};

int main(int argc, char** argv) try {
    if (argc != 2) throw std::runtime_error("usage: classify network.onnx < hits.txt");
    Network network(argv[1]);
    Hits hits;
    int64_t num_events = 0;
    long event, row, column;
    for (float energy; std::cin >> event >> row >> column >> energy;) {
        if (event < 0 || std::min(row, column) < 0 || std::max(row, column) >= network.image_size)
            throw std::runtime_error("a hit outside the image of " + std::to_string(network.image_size) + " pixels");
        hits.event.push_back(event);
        hits.pixel.push_back(row * network.image_size + column);
        hits.energy.push_back(energy);
        num_events = std::max<int64_t>(num_events, event + 1);
    }
    if (!std::cin.eof()) throw std::runtime_error("four numbers a line are expected: event row column energy_mev");
    const size_t num_classes = network.classes.size();
    const std::vector<float> found = network.probabilities(hits, num_events);
    for (int64_t number = 0; number < num_events; ++number) {
        const float* first = found.data() + number * num_classes;
        std::cout << number << ' ' << network.classes[std::max_element(first, first + num_classes) - first];
        for (size_t index = 0; index < num_classes; ++index) std::cout << ' ' << first[index];
        std::cout << '\n';
    }
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return EXIT_FAILURE;
}
